# What the mini detectors share: the paper's data, schedule and runtime on the digits of
# tools/demo/make_mini.py, at a size for 2 CPU cores. Each config puts the parts of the model in
# their places, since two bases cannot both hold `model`.
_base_ = [
    '../datasets/coco_instance.py',
    '../schedules/coco_1x_adamw.py',
    '../runtimes/coco_det.py',
]

digits_model = dict(
    backbone=dict(
        arch='mini',
        # The stage-3 map of a 128 x 160 image is 8 x 10: windows cut it, and cut it unevenly.
        window_size=4,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/cls/classifier.pth'),
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    # Anchors of half the size: digits of 18 to 88 pixels.
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=30)),
)
digits_roi_head = dict(
    # From which size on a digit is cut from coarser maps: all would be cut from the finest one.
    bbox_roi_extractor=dict(out_channels=64, finest_scale=14),
    mask_roi_extractor=dict(out_channels=64, finest_scale=28),
    mask_head=dict(in_channels=64, conv_out_channels=64, num_classes=10),
)
digits_bbox_head = dict(in_channels=64, fc_out_channels=256, num_classes=10)
digits_rpn_train_cfg = dict(
    rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=300, max_per_img=100)
)

# No flip: a mirrored digit is another sign or none.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
digits = dict(
    data_root='data/mini/coco',
    metainfo=dict(
        classes=tuple('0123456789'),
        # A colour for each digit, easy to tell from its neighbours.
        palette=[
            *((230, 25, 75), (60, 180, 75), (255, 225, 25), (67, 99, 216), (245, 130, 49)),
            *((145, 30, 180), (66, 212, 244), (240, 50, 230), (191, 239, 69), (250, 190, 212)),
        ],
    ),
)
train_dataloader = dict(batch_size=4, dataset=dict(digits, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(digits, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/mini/coco/annotations/instances_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=1e-3),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
)
train_cfg = dict(max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=101),
    dict(type='MultiStepLR', begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
