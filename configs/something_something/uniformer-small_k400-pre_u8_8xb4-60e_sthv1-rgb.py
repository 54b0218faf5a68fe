_base_ = [
    '../_base_/models/uniformer3d_small_something.py',
    '../_base_/datasets/sthv1_u8.py',
    '../_base_/schedules/sthv1_60e_adamw.py',
    '../_base_/runtimes/sthv1.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4.
# The paper reports this row (Table 12), the repository has no such run: the recipe is inferred,
# and is that of 16 frames. The start, the 8x8 network of the same table, is inferred as well.
# The weights are on Google Drive only: see README.md.
model = dict(backbone=dict(init_cfg=dict(checkpoint='weights/uniformer_small_k400_8x8.pth')))
randomness = dict(seed=0)
