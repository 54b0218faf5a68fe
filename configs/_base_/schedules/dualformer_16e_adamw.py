# HMDB51 and UCF101: 16 epochs at 4 x 128 videos a step, with the weight decay of S.
_base_ = ['./dualformer_30e_adamw.py']

optim_wrapper = dict(accumulative_counts=4, optimizer=dict(weight_decay=0.1))
param_scheduler = dict(T_max=16, warmup=1)
train_cfg = dict(max_epochs=16, val_interval=2)
auto_scale_lr = dict(base_batch_size=128)
