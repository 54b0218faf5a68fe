_base_ = ['./kinetics400_u16_res128.py']

steps = _base_.train_pipeline
train_pipeline = [*steps[:5], dict(steps[5], scale=(160, 160)), *steps[6:]]
val_pipeline = [
    *_base_.val_pipeline[:3],
    dict(type='Resize', scale=(-1, 160)),
    dict(type='CenterCrop', crop_size=160),
    *_base_.center_view[2:],
]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
