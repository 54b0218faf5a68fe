_base_ = [
    '../_base_/models/uniformer_token-label.py',
    '../_base_/mini/imagenet_digits.py',
    '../_base_/schedules/imagenet_bs1024_adamw_uniformer_token-label.py',
]

# Token labelling on tools/demo/make_mini.py's handwritten digits, for 2 CPU cores. Only data, size
# and schedule differ, and what their scale asks for. The label maps are those of the plain
# classifier (docs/data.md):
#
#     python tools/data/make_label_maps.py configs/mini/uniformer-mini_1xb32_digits.py \
#         work_dirs/demo/cls/classifier.pth data/mini/imagenet/train data/mini/label_maps --size 64
model = dict(
    backbone=dict(arch='mini', drop_path_rate=0.0),
    head=dict(num_classes=10, in_channels=256),
    # Most batches stay unmixed: 2,000 steps are too few to learn from mixed ones alone.
    mix_prob=0.2,
)

load, crop, policy, erase, pack = _base_.train_pipeline
train_pipeline = [
    load,
    dict(type='uniformer_mm.LoadTokenLabel', num_classes=10),
    dict(
        policy,
        type='uniformer_mm.TokenLabelRandAugment',
        hparams=dict(pad_val=policy.hparams.pad_val),
    ),
    dict(
        type='uniformer_mm.TokenLabelRandomResizedCrop',
        scale=crop.scale,
        crop_ratio_range=crop.crop_ratio_range,
        backend='pillow',
    ),
    erase,
    dict(pack, algorithm_keys=['token_label', 'crop_box']),
]
train_dataloader = dict(
    dataset=dict(
        type='uniformer_mm.TokenLabelDataset',
        label_root='data/mini/label_maps',
        pipeline=train_pipeline,
    ),
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
)

# 16 epochs of 125 steps.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=1e-3))
param_scheduler = dict(T_max=16, warmup=1, warmup_lr=5e-4)
train_cfg = dict(max_epochs=16, val_interval=2)
auto_scale_lr = dict(base_batch_size=32)

# An average over the last hundred steps instead of the last 12,500.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.01)]
