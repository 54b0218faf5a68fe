# Kinetics-400: clips of 16 frames that span 128.
_base_ = ['./kinetics400_16x4.py']

train_pipeline, val_pipeline, test_pipeline = (
    [open_video, dict(sample, clip_len=16, frame_interval=8), *rest]
    for open_video, sample, *rest in (
        _base_.train_pipeline,
        _base_.val_pipeline,
        _base_.test_pipeline,
    )
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
