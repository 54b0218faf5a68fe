_base_ = ['./kinetics_110e_adamw.py']

# The repository's for clips of 8 frames; the paper has 110 for all.
param_scheduler = dict(T_max=100)
train_cfg = dict(max_epochs=100)
