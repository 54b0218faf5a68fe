_base_ = [
    '../_base_/models/fpn_uniformer.py',
    '../_base_/mini/ade20k_digits.py',
    '../_base_/schedules/ade20k_80k_adamw.py',
]

# The paper's Semantic FPN on handwritten digits, from the weights of the classification demo. Only
# data, size and schedule differ, and what their scale asks for.
data_preprocessor = dict(size=_base_.digits_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=_base_.digits_backbone,
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    decode_head=dict(in_channels=[64, 64, 64, 64], channels=64),
)

# Sides are multiples of 32 in tests, as in ../_base_/datasets/ade20k_512x512_align32.py.
align = dict(type='ResizeToMultiple', size_divisor=32)
test_pipeline = [*_base_.test_pipeline[:2], align, *_base_.test_pipeline[3:]]
tta_transforms = _base_.tta_pipeline[1].transforms
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(type='TestTimeAug', transforms=[tta_transforms[0], [align], *tta_transforms[2:]]),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# The classifier knows the digits: it is changed slowly, while neck and head learn from nothing.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.02))),
)
train_cfg = dict(max_iters=1000, val_interval=200)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=51),
    dict(type='CosineAnnealingLR', eta_min=1e-11, by_epoch=False, begin=0, end=1000),
]
auto_scale_lr = dict(base_batch_size=8)
