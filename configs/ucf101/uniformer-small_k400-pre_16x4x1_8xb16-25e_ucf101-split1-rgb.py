_base_ = [
    '../_base_/models/uniformer3d_small_ucf101.py',
    '../_base_/datasets/ucf101_16x4.py',
    '../_base_/schedules/ucf101_25e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 16 = 128 videos a step, of two clips each; lr = 5e-5.
randomness = dict(seed=6666)
