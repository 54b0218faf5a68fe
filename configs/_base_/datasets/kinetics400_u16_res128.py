# Kinetics-400 for the light networks: 16 frames spread over the video, 128 x 128, and one view in
# validation and test. The authors never released their sampler for it; that of their later
# UniFormerV2 is mmaction2's UniformSample.
_base_ = ['./kinetics400_16x4.py']

# Steps are found by their place: open, sample, decode, policy, crop, resize, ...
steps = _base_.train_pipeline
train_pipeline = [
    steps[0],
    dict(type='UniformSample', clip_len=16),
    steps[2],
    dict(steps[3], policy='rand-m5-n2-mstd0.25'),
    steps[4],
    dict(steps[5], scale=(128, 128)),
    *steps[6:],
]
val_pipeline = [
    steps[0],
    dict(type='UniformSample', clip_len=16, test_mode=True),
    steps[2],
    dict(type='Resize', scale=(-1, 128)),
    dict(type='CenterCrop', crop_size=128),
    *_base_.center_view[2:],
]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
