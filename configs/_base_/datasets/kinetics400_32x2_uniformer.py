# Kinetics-400: clips of 32 frames that span 64, sampled and augmented as UniFormer's.
_base_ = ['./kinetics400_16x4.py']

train_pipeline, val_pipeline, test_pipeline = (
    [open_video, dict(sample, clip_len=32, frame_interval=2), *rest]
    for open_video, sample, *rest in (
        _base_.train_pipeline,
        _base_.val_pipeline,
        _base_.test_pipeline,
    )
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
