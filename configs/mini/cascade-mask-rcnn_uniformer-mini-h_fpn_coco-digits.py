_base_ = [
    '../coco_det/cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py',
    '../_base_/mini/coco_digits.py',
]

# The paper's Cascade Mask R-CNN and multi-scale policy on handwritten digits, from the weights of
# the classification demo. Only data, size and schedule differ, and what their scale asks for.
model = dict(
    _base_.digits_model,
    roi_head=dict(
        _base_.digits_roi_head,
        bbox_head=[
            dict(head, **_base_.digits_bbox_head, conv_out_channels=64)
            for head in _base_.model.roi_head.bbox_head
        ],
    ),
    train_cfg=dict(
        _base_.digits_rpn_train_cfg,
        rcnn=[
            dict(stage, sampler=dict(stage.sampler, num=64))
            for stage in _base_.model.train_cfg.rcnn
        ],
    ),
)

# A fifth of the sizes. No flip: a mirrored digit is another sign or none.
final_resize = dict(
    type='RandomChoiceResize', scales=[(side, 267) for side in range(96, 161, 8)], keep_ratio=True
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoice',
        transforms=[
            [final_resize],
            [
                dict(
                    type='RandomChoiceResize',
                    scales=[(80, 267), (100, 267), (120, 267)],
                    keep_ratio=True,
                ),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(77, 120),
                    allow_negative_crop=True,
                ),
                final_resize,
            ],
        ],
    ),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(_base_.digits_dataset, pipeline=train_pipeline))
val_dataloader = _base_.digits_val_dataloader
test_dataloader = _base_.digits_val_dataloader
val_evaluator = _base_.digits_evaluator
test_evaluator = _base_.digits_evaluator

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=1e-3),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
)
train_cfg = dict(max_epochs=4)
param_scheduler = _base_.digits_param_scheduler
auto_scale_lr = dict(base_batch_size=4)
default_hooks = _base_.digits_hooks
randomness = dict(seed=0)
