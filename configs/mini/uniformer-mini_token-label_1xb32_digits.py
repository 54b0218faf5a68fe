_base_ = ['../imagenet/uniformer-small_token-label_8xb128_in1k.py']

# Token labelling on tools/demo/make_mini.py's handwritten digits, for 2 CPU cores. Only data, size
# and schedule differ, and what their scale asks for. The label maps are those of the plain
# classifier (docs/data.md):
#
#     python tools/data/make_label_maps.py configs/mini/uniformer-mini_1xb32_digits.py \
#         work_dirs/demo/cls/classifier.pth data/mini/imagenet/train data/mini/label_maps --size 64
model = dict(
    backbone=dict(arch='mini', drop_path_rate=0.0),
    head=dict(num_classes=10, in_channels=256),
    # Most boxes are nearly empty or nearly full: 2,000 steps are too few to learn from mixed images
    # alone.
    mix_alpha=0.1,
)
data_preprocessor = dict(num_classes=10)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='uniformer_mm.LoadTokenLabel', num_classes=10),
    # There is no flip, since a mirrored digit is another sign or none.
    dict(
        type='uniformer_mm.TokenLabelRandAugment',
        policies='timm_increasing',
        num_policies=1,
        total_level=10,
        magnitude_level=5,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124]),
    ),
    # Crops keep the digit.
    dict(
        type='uniformer_mm.TokenLabelRandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.7, 1.0),
        backend='pillow',
    ),
    dict(
        type='uniformer_mm.NormalizedRandomErasing',
        mean=_base_.bgr_mean,
        std=_base_.bgr_std,
        prob=0.25,
        area_range=(0.02, 0.1),
    ),
    dict(type='PackInputs', algorithm_keys=['token_label', 'crop_box']),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=71, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='uniformer_mm.TokenLabelDataset',
        data_root='data/mini/imagenet',
        data_prefix='train',
        label_root='data/mini/label_maps',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/mini/imagenet',
        data_prefix='val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

# 16 epochs of 125 steps.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-3))
param_scheduler = dict(T_max=16, warmup=1, warmup_lr=5e-4)
train_cfg = dict(max_epochs=16, val_interval=2)

# An average over the last hundred steps instead of the last 12,500.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.01)]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=2),
)
