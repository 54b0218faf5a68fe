_base_ = [
    '../_base_/models/uniformer3d_base_something.py',
    '../_base_/datasets/sthv1_u16.py',
    '../_base_/schedules/sthv1_60e_adamw.py',
    '../_base_/runtimes/sthv1.py',
]

# 8 GPUs x 5 = 40 videos a step, of two clips each; lr = 2.5e-4.
train_dataloader = dict(batch_size=5)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
auto_scale_lr = dict(base_batch_size=40)
randomness = dict(seed=6666)
