# Diving48 as raw frames: clips of 16 frames that span 64, tested on four clips and one crop.
_base_ = ['./diving48_32x4.py']

sample = dict(_base_.sample, clip_len=16)
test_sample = dict(_base_.test_sample, clip_len=16)
train_pipeline = [sample, *_base_.train_pipeline[1:]]
val_pipeline = [test_sample, *_base_.val_pipeline[1:]]
test_pipeline = [test_sample, dict(type='RawFrameDecode'), *_base_.center_view]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
