# Something-Something V2 as raw frames: 16 of them spread over the video, tested on three crops.
_base_ = ['./video_uniformer_224.py']

train_pipeline = [
    dict(type='UniformSample', clip_len=16),
    dict(type='RawFrameDecode'),
    # No flip: left and right are part of the classes.
    *(step for step in _base_.augmentation if step['type'] != 'Flip'),
]
val_pipeline = [
    dict(type='UniformSample', clip_len=16, test_mode=True),
    dict(type='RawFrameDecode'),
    *_base_.center_view,
]
test_pipeline = [
    dict(type='UniformSample', clip_len=16, test_mode=True),
    dict(type='RawFrameDecode'),
    *_base_.three_views,
]

train_dataloader = dict(
    dataset=dict(
        type='uniformer_mm.RepeatAugRawframeDataset',
        num_repeats=2,
        data_root='data/sthv2',
        ann_file='sthv2_train_list_rawframes.txt',
        data_prefix=dict(img='rawframes'),
        filename_tmpl='img_{:05}.jpg',
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='uniformer_mm.ReportingRawframeDataset',
        data_root='data/sthv2',
        ann_file='sthv2_val_list_rawframes.txt',
        data_prefix=dict(img='rawframes'),
        filename_tmpl='img_{:05}.jpg',
        pipeline=val_pipeline,
        test_mode=True,
    )
)
test_dataloader = dict(dataset=dict(val_dataloader['dataset'], pipeline=test_pipeline))
