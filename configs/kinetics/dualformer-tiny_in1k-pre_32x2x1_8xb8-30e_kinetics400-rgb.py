_base_ = [
    '../_base_/models/dualformer_tiny.py',
    '../_base_/datasets/kinetics400_32x2.py',
    '../_base_/schedules/dualformer_30e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 8 = 64 videos a step; lr = 1e-3, and a tenth of it for the backbone.
