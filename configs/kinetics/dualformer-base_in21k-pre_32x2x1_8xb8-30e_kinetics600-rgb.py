_base_ = [
    '../_base_/models/dualformer_base.py',
    '../_base_/datasets/kinetics600_32x2.py',
    '../_base_/schedules/dualformer_30e_adamw.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 8 videos x 2 = 128 a step; lr = 5e-4, and a tenth of it for the backbone.
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='weights/dualformer_base_in21k.pth')),
    cls_head=dict(num_classes=600),
)
optim_wrapper = dict(accumulative_counts=2, optimizer=dict(lr=5e-4, weight_decay=0.05))
param_scheduler = dict(warmup=2.5)
