# Something-Something V1: 8 frames spread over the video.
_base_ = ['./sthv1_u16.py']

train_pipeline, val_pipeline, test_pipeline = (
    [dict(sample, clip_len=8), *rest]
    for sample, *rest in (_base_.train_pipeline, _base_.val_pipeline, _base_.test_pipeline)
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
