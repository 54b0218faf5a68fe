# HMDB51, split 1, as raw frames: the clips, augmentation and views of UCF101.
_base_ = ['./ucf101_16x4.py']

train_pipeline, val_pipeline, test_pipeline = (
    [pipeline[1], dict(type='RawFrameDecode'), *pipeline[3:]]
    for pipeline in (_base_.train_pipeline, _base_.val_pipeline, _base_.test_pipeline)
)

files = dict(
    data_root='data/hmdb51', data_prefix=dict(img='rawframes'), filename_tmpl='img_{:05}.jpg'
)
test_files = dict(
    files,
    type='uniformer_mm.ReportingRawframeDataset',
    ann_file='hmdb51_val_split_1_rawframes.txt',
    test_mode=True,
)
train_dataloader = dict(
    dataset=dict(
        files,
        _delete_=True,
        type='uniformer_mm.RepeatAugRawframeDataset',
        num_repeats=2,
        ann_file='hmdb51_train_split_1_rawframes.txt',
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(test_files, _delete_=True, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(test_files, _delete_=True, pipeline=test_pipeline))
