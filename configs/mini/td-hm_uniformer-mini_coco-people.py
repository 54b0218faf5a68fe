_base_ = ['../coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192.py']

# The paper's pose estimation on drawn people, from the weights of the classification demo. Only
# data, size and schedule differ, and what their scale asks for.
codec = dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)

model = dict(
    backbone=dict(
        arch='mini',
        drop_path_rate=0.0,
        init_cfg=dict(checkpoint='work_dirs/demo/cls/classifier.pth'),
    ),
    head=dict(in_channels=256, deconv_out_channels=(64, 64, 64), decoder=codec),
)

train_pipeline = [
    *_base_.train_pipeline[:-4],
    # Half of the paper's scale and less of its rotation: 550 steps do not teach people of all
    # sizes, upside down.
    dict(
        type='uniformer_mm.ClippedNormalScaleRotation',
        scale_std=0.25,
        rotation_std=15,
        rotation_prob=0.6,
    ),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    *_base_.val_pipeline[:-2],
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    dataset=dict(data_root='data/mini/pose', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        data_root='data/mini/pose',
        bbox_file='data/mini/pose/person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/mini/pose/annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=2e-3),
)
train_cfg = dict(max_epochs=10, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=51),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=10, milestones=[7, 9], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=2))
randomness = dict(seed=0)
