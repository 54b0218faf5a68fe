_base_ = ['./kinetics400_u16_res160.py']

train_pipeline, val_pipeline = (
    [open_video, dict(sample, clip_len=8), *rest]
    for open_video, sample, *rest in (_base_.train_pipeline, _base_.val_pipeline)
)
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
