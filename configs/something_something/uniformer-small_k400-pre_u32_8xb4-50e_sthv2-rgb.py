_base_ = [
    '../_base_/models/uniformer3d_small_something.py',
    '../_base_/datasets/sthv2_u32.py',
    '../_base_/schedules/sthv2_50e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
model = dict(backbone=dict(drop_path_rate=0.3))
randomness = dict(seed=0)
