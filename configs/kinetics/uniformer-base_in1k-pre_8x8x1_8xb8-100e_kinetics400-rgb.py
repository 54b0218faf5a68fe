_base_ = [
    '../_base_/models/uniformer3d_base.py',
    '../_base_/datasets/kinetics400_8x8.py',
    '../_base_/schedules/kinetics_100e_adamw.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 8 = 64 videos a step, of two clips each; lr = 2e-4.
train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
auto_scale_lr = dict(base_batch_size=64)
