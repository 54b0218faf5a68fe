_base_ = [
    '../_base_/models/fpn_uniformer.py',
    '../_base_/datasets/ade20k_512x512_align32.py',
    '../_base_/schedules/ade20k_80k_adamw.py',
    '../_base_/runtimes/ade20k.py',
]

# 8 GPUs x 4 = 32 images a step, lr = 2e-4.
# The authors do not say which of their four files they start from: taken is the one of 224 pixels.
# The weights are on Google Drive only: see README.md.
model = dict(
    backbone=dict(
        type='uniformer_mm.UniFormerLight',
        arch='xxs',
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint='weights/uniformer_xxs_224_in1k.pth'),
    ),
    neck=dict(in_channels=[56, 112, 224, 448]),
)
default_hooks = dict(checkpoint=dict(interval=4000))
