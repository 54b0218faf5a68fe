_base_ = ['../imagenet/uniformer-small_8xb128_in1k.py']

# The paper's ImageNet recipe on tools/demo/make_mini.py's handwritten digits, for 2 CPU cores.
# Only data, size and schedule differ, and what their scale asks for.
model = dict(
    # Every block type; four blocks in stage 3 make a hybrid of three windows and one global.
    backbone=dict(arch='mini', drop_path_rate=0.0),
    head=dict(num_classes=10, in_channels=256),
    # Most batches stay unmixed: 2,000 steps are too few to learn from mixed ones alone.
    train_cfg=dict(probs=[0.1, 0.1]),
)
data_preprocessor = dict(num_classes=10)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    # Crops keep the digit; there is no flip, since a mirrored digit is another sign or none.
    dict(
        type='RandomResizedCrop',
        scale=64,
        crop_ratio_range=(0.7, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=1,
        total_level=10,
        magnitude_level=5,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    dict(
        type='uniformer_mm.NormalizedRandomErasing',
        mean=_base_.bgr_mean,
        std=_base_.bgr_std,
        prob=0.25,
        area_range=(0.02, 0.1),
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=73, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='data/mini/imagenet',
        data_prefix='train',
        pipeline=train_pipeline,
    ),
    # Repeats are for many GPUs; on one they would fill a batch with copies.
    sampler=dict(num_repeats=1, round_to=32),
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
param_scheduler = dict(T_max=16, warmup=1, warmup_lr=5e-4, lag=0)
train_cfg = dict(max_epochs=16, val_interval=2)
auto_scale_lr = dict(base_batch_size=32)

# An average over the last hundred steps instead of the last 25,000.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.01)]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(max_keep_ckpts=2),
)
