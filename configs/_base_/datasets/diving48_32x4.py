# Diving48 as raw frames: clips of 32 frames that span 128, tested on four clips and three crops.
_base_ = ['./video_dualformer_224.py']

sample = dict(type='uniformer_mm.SampleFramesV0', clip_len=32, frame_interval=4)
test_sample = dict(sample, test_mode=True, num_clips=4)
train_pipeline = [sample, dict(type='RawFrameDecode'), *_base_.augmentation]
val_pipeline = [test_sample, dict(type='RawFrameDecode'), *_base_.val_view]
test_pipeline = [test_sample, dict(type='RawFrameDecode'), *_base_.three_views]

files = dict(
    type='uniformer_mm.ReportingRawframeDataset',
    data_root='data/diving48',
    data_prefix=dict(img='rawframes'),
    filename_tmpl='img_{:05}.jpg',
)
val_files = dict(files, ann_file='diving48_val_list_rawframes.txt', test_mode=True)
train_dataloader = dict(
    dataset=dict(files, ann_file='diving48_train_list_rawframes.txt', pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(val_files, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(val_files, pipeline=test_pipeline))
