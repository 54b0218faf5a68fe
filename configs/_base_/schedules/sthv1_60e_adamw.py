_base_ = ['./sthv2_50e_adamw.py']

# The paper says 50 epochs; these are the repository's.
param_scheduler = dict(T_max=60)
train_cfg = dict(max_epochs=60)
