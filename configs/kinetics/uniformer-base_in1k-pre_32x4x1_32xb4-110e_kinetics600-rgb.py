_base_ = [
    '../_base_/models/uniformer3d_base_kinetics600.py',
    '../_base_/datasets/kinetics600_32x4.py',
    '../_base_/schedules/kinetics_110e_adamw.py',
    '../_base_/runtimes/kinetics600.py',
]

# 4 nodes x 8 GPUs x 4 = 128 videos a step, of two clips each; lr = 1e-4 x 4, and so are its start
# and end.
optim_wrapper = dict(optimizer=dict(lr=4e-4))
param_scheduler = dict(warmup_lr=4e-6, eta_min=4e-6)
auto_scale_lr = dict(base_batch_size=128)
