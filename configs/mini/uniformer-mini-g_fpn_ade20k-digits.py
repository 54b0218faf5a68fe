_base_ = [
    '../ade20k/uniformer-s-g_fpn_8xb4-80k_ade20k-512x512.py',
    '../_base_/mini/ade20k_digits.py',
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

test_pipeline = [
    _base_.test_pipeline[0],
    _base_.digits_test_resize,
    *_base_.test_pipeline[2:],
]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[_base_.digits_tta_resizes, *_base_.tta_pipeline[1].transforms[1:]],
    ),
]
val_dataset = dict(**_base_.digits_val_dataset, pipeline=test_pipeline)
train_dataloader = dict(batch_size=8, num_workers=1, dataset=_base_.digits_train_dataset)
val_dataloader = dict(num_workers=1, dataset=val_dataset)
test_dataloader = dict(num_workers=1, dataset=val_dataset)

# The classifier knows the digits: it is changed slowly, while neck and head learn from nothing.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
train_cfg = dict(max_iters=750, val_interval=150)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=51),
    dict(type='CosineAnnealingLR', eta_min=1e-11, by_epoch=False, begin=0, end=750),
]
auto_scale_lr = dict(base_batch_size=8)
default_hooks = _base_.digits_hooks
randomness = dict(seed=0)
