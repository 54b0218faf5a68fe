_base_ = [
    '../_base_/models/uniformer3d_base.py',
    '../_base_/datasets/kinetics400_16x4.py',
    '../_base_/schedules/kinetics_110e_adamw.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 5 = 40 videos a step, of two clips each; lr = 1.25e-4.
train_dataloader = dict(batch_size=5)
optim_wrapper = dict(optimizer=dict(lr=1.25e-4))
auto_scale_lr = dict(base_batch_size=40)
