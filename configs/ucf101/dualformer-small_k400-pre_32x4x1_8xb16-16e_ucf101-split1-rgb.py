_base_ = [
    '../_base_/models/dualformer_small_k400-pre.py',
    '../_base_/datasets/ucf101_32x4_dualformer.py',
    '../_base_/schedules/dualformer_16e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 16 videos x 4 = 512 a step; lr = 1e-3, and a tenth of it for the backbone.
model = dict(backbone=dict(drop_path_rate=0.3), cls_head=dict(num_classes=101))
