_base_ = ['mmaction::_base_/default_runtime.py']

# The paper's Kinetics recipe on the moving digits of tools/data/make_mini.py, for 2 CPU cores. Only
# data, size and schedule differ; there is no flip, as a mirrored clip is of another class.
custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)
mean, std = [114.75] * 3, [57.375] * 3

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='uniformer_mm.UniFormer3D',
        arch='small',
        depths=(1, 2, 4, 1),
        embed_dims=(32, 64, 128, 256),
        head_dim=32,
        drop_path_rate=0.0,
        # An image classifier, inflated.
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/cls/classifier.pth'),
    ),
    cls_head=dict(
        type='I3DHead',
        num_classes=4,
        in_channels=256,
        dropout_ratio=0,
        label_smooth_eps=0.1,
        average_clips='score',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=mean,
        std=std,
        format_shape='NCTHW',
        blending=dict(type='uniformer_mm.BatchMixFlip', num_classes=4),
    ),
)

train_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    dict(type='uniformer_mm.DenseClipSample', clip_len=8, frame_interval=2),
    dict(type='uniformer_mm.PyAVDecode'),
    dict(type='uniformer_mm.VideoRandAugment', policy='rand-m7-n4-mstd0.5-inc1'),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='uniformer_mm.ClipRandomErasing', mean=mean, std=std),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    dict(type='uniformer_mm.DenseClipSample', clip_len=8, frame_interval=2, test_mode=True),
    dict(type='uniformer_mm.PyAVDecode'),
    dict(type='Resize', scale=(-1, 64)),
    dict(type='CenterCrop', crop_size=64),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    drop_last=True,
    dataset=dict(
        type='uniformer_mm.RepeatAugVideoDataset',
        data_root='data/mini/kinetics',
        data_prefix=dict(video='videos_train'),
        ann_file='kinetics400_train_list_videos.txt',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='repeat_pseudo_collate'),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    dataset=dict(
        type='uniformer_mm.ReportingVideoDataset',
        data_root='data/mini/kinetics',
        data_prefix=dict(video='videos_val'),
        ann_file='kinetics400_val_list_videos.txt',
        pipeline=test_pipeline,
        test_mode=True,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

# 5 epochs of 75 steps of 16 videos, which are 32 clips.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(max_norm=20),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=1, T_max=4, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(logger=dict(interval=15), checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
