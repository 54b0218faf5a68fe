# XXS: 256 videos a step; lr = 4e-4 for 4 and 8 frames, twice that for more.
_base_ = ['./kinetics_110e_adamw.py']

optim_wrapper = dict(optimizer=dict(lr=4e-4, weight_decay=0.1))
auto_scale_lr = dict(base_batch_size=256)
