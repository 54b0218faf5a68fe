# UCF101 and HMDB51: 25 epochs at 128 videos a step.
_base_ = ['./kinetics_110e_adamw.py']

optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = dict(T_max=25, warmup=5)
train_cfg = dict(max_epochs=25)
auto_scale_lr = dict(base_batch_size=128)
