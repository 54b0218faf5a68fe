# UCF101, split 1: clips of 16 frames that span 64, tested on five clips and three crops.
_base_ = ['./kinetics400_16x4.py']

train_pipeline = [
    dict(step, policy='rand-m5-n2-mstd0.25') if 'policy' in step else step
    for step in _base_.train_pipeline
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], num_clips=5),
    _base_.test_pipeline[2],
    *_base_.three_views,
]

files = dict(data_root='data/ucf101', data_prefix=dict(video='videos'))
test_list = 'ucf101_val_split_1_videos.txt'
train_dataloader = dict(
    batch_size=16,
    dataset=dict(files, ann_file='ucf101_train_split_1_videos.txt', pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(files, ann_file=test_list))
test_dataloader = dict(dataset=dict(files, ann_file=test_list, pipeline=test_pipeline))
