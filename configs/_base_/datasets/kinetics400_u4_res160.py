_base_ = ['./kinetics400_u8_res160.py']

steps = _base_.train_pipeline
train_pipeline = [
    steps[0],
    dict(steps[1], clip_len=4),
    steps[2],
    dict(steps[3], policy='rand'),
    *steps[4:],
]
val_pipeline = [
    steps[0],
    dict(_base_.val_pipeline[1], clip_len=4),
    *_base_.val_pipeline[2:],
]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
