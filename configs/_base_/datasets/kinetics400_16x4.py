# Kinetics-400: clips of 16 frames that span 64, tested on four clips and one crop.
_base_ = ['./video_uniformer_224.py']

sample = dict(type='uniformer_mm.DenseClipSample', clip_len=16, frame_interval=4)
# decord instead: DecordInit and DecordDecode, which give the same frames.
train_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    sample,
    dict(type='uniformer_mm.PyAVDecode'),
    *_base_.augmentation,
]
val_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    dict(sample, test_mode=True),
    dict(type='uniformer_mm.PyAVDecode'),
    *_base_.center_view,
]
test_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    dict(sample, test_mode=True, num_clips=4),
    dict(type='uniformer_mm.PyAVDecode'),
    *_base_.center_view,
]

train_dataloader = dict(
    dataset=dict(
        type='uniformer_mm.RepeatAugVideoDataset',
        num_repeats=2,
        on_error='skip',  # another video instead; they are counted at the end
        data_root='data/kinetics400',
        ann_file='kinetics400_train_list_videos.txt',
        data_prefix=dict(video='videos_train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='uniformer_mm.ReportingVideoDataset',
        data_root='data/kinetics400',
        ann_file='kinetics400_val_list_videos.txt',
        data_prefix=dict(video='videos_val'),
        pipeline=val_pipeline,
        test_mode=True,
    )
)
test_dataloader = dict(dataset=dict(val_dataloader['dataset'], pipeline=test_pipeline))
