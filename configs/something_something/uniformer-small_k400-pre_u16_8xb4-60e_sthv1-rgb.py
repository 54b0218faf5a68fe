_base_ = [
    '../_base_/models/uniformer3d_small_something.py',
    '../_base_/datasets/sthv1_u16.py',
    '../_base_/schedules/sthv1_60e_adamw.py',
    '../_base_/runtimes/sthv1.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
# Drop path is the repository's: the paper has 0.3.
randomness = dict(seed=0)
