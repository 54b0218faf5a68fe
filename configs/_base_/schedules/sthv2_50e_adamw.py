_base_ = ['./kinetics_110e_adamw.py']

optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = dict(T_max=50, warmup=5)
train_cfg = dict(max_epochs=50)
