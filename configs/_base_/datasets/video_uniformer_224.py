# What the video data sets share: the authors' augmentation of clips, one view for validation, and
# the loaders. The data sets put a sampler and a decoder in front, and their files in.
augmentation = [
    # On whole decoded frames, the same for all frames of a clip.
    dict(type='uniformer_mm.VideoRandAugment', policy='rand-m7-n4-mstd0.5-inc1'),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    # N(0, 1) once the data preprocessor has normalised.
    dict(
        type='uniformer_mm.ClipRandomErasing',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        prob=0.25,
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
# The authors validate on a random scale and place; one fixed view lets epochs be compared.
center_view = [
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
three_views = [
    dict(type='Resize', scale=(-1, 224)),
    dict(type='ThreeCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

# Two clips of every video, augmented on their own, stand next to each other in a batch.
train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=False,  # EpochSeedHook seeds the workers when they start
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='repeat_pseudo_collate'),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
