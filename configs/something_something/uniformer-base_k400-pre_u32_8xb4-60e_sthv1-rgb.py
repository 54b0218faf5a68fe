_base_ = [
    '../_base_/models/uniformer3d_base_something.py',
    '../_base_/datasets/sthv1_u32.py',
    '../_base_/schedules/sthv1_60e_adamw.py',
    '../_base_/runtimes/sthv1.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
randomness = dict(seed=6666)
