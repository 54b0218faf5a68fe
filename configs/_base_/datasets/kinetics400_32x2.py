# Kinetics-400: clips of 32 frames that span 64, tested on four clips and one crop.
_base_ = ['./video_dualformer_224.py']

sample = dict(type='uniformer_mm.SampleFramesV0', clip_len=32, frame_interval=2)
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
    *_base_.val_view,
]
test_pipeline = [
    dict(type='uniformer_mm.PyAVInit'),
    dict(sample, test_mode=True, num_clips=4),
    dict(type='uniformer_mm.PyAVDecode'),
    *_base_.center_view,
]

files = dict(type='uniformer_mm.ReportingVideoDataset', data_root='data/kinetics400')
val_files = dict(
    files,
    ann_file='kinetics400_val_list_videos.txt',
    data_prefix=dict(video='videos_val'),
    test_mode=True,
)
train_dataloader = dict(
    dataset=dict(
        files,
        on_error='skip',  # another video instead; they are counted at the end
        ann_file='kinetics400_train_list_videos.txt',
        data_prefix=dict(video='videos_train'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=dict(val_files, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(val_files, pipeline=test_pipeline))
