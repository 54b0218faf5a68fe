_base_ = ['./kinetics400_u32_res160.py']

steps = _base_.train_pipeline
train_pipeline = [
    *steps[:3],
    dict(steps[3], policy='rand-m7-n4-mstd0.5-inc1'),
    steps[4],
    dict(steps[5], scale=(192, 192)),
    *steps[6:],
]
val_pipeline = [
    *_base_.val_pipeline[:3],
    dict(type='Resize', scale=(-1, 192)),
    dict(type='CenterCrop', crop_size=192),
    *_base_.center_view[2:],
]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
