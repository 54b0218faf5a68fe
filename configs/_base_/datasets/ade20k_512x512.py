# ADE20K at the scale of the paper, with labels checked as they are read. Test-time augmentation
# (tools/test.py --tta) takes six scales of (2048, 512), each also mirrored; mmseg's own takes
# multiples of each image's size instead.
_base_ = ['mmseg::_base_/datasets/ade20k.py']

# 0 is "other", as the data set says, and the classes are those of its names.
load_labels = dict(type='uniformer_mm.LoadLabelMap')
# Touches no image of ADE20K: only those of an aspect beyond 64 : 1 (32 : 1 at the least scale).
enlarge = dict(type='uniformer_mm.ResizeToAtLeast', size=32)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    load_labels,
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# Labels come after resizing: scores are taken at the size of the original.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    enlarge,
    load_labels,
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(int(2048 * r), int(512 * r)), keep_ratio=True)
                for r in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [enlarge],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [load_labels],
            [dict(type='PackSegInputs')],
        ],
    ),
]
train_dataloader = dict(persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
