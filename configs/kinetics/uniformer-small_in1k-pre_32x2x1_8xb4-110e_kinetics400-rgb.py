_base_ = [
    '../_base_/models/uniformer3d_small.py',
    '../_base_/datasets/kinetics400_32x2_uniformer.py',
    '../_base_/schedules/kinetics_110e_adamw.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 1e-4.
# The paper reports this row (Table 13), the repository has no such run: the recipe is inferred,
# and is that of 32x4.
