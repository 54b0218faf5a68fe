# COCO keypoints at an input of 256 x 192 (H x W): mmpose's loaders of td-hm_res50 with the authors'
# augmentation.
# mmpose's inferencers read these two from the config itself.
dataset_type = 'CocoDataset'
data_mode = 'topdown'
# The same, with annotations and detections that are checked as they are read.
checked_type = 'uniformer_mm.CheckedPoseDataset'

codec = dict(type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)

# In the authors' order. Stock mmpose has one step for shift, scale, rotation:
# dict(type='RandomBBoxTransform'), which draws from other distributions within the same limits.
augmentation = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='uniformer_mm.RandomBBoxShift', max_shift=0.2, prob=0.3),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.3, padding=1.5, upper_prioritized_prob=0.69),
    dict(
        type='uniformer_mm.ClippedNormalScaleRotation',
        scale_std=0.5,
        rotation_std=40,
        rotation_prob=0.6,
    ),
]
train_pipeline = [
    *augmentation,
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=False,  # EpochSeedHook seeds the workers when they start
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=checked_type,
        data_root='data/coco/',
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=checked_type,
        data_root='data/coco/',
        data_mode=data_mode,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file='data/coco/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='uniformer_mm.CheckedPoseMetric',
    ann_file='data/coco/annotations/person_keypoints_val2017.json',
)
test_evaluator = val_evaluator
