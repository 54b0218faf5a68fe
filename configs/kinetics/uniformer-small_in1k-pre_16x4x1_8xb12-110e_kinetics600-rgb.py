_base_ = [
    '../_base_/models/uniformer3d_small_kinetics600.py',
    '../_base_/datasets/kinetics600_16x4.py',
    '../_base_/schedules/kinetics_110e_adamw.py',
    '../_base_/runtimes/kinetics600.py',
]

# 8 GPUs x 12 = 96 videos a step, of two clips each; lr = 3e-4.
train_dataloader = dict(batch_size=12)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=96)
