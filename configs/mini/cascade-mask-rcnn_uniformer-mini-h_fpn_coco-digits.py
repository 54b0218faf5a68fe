_base_ = ['../_base_/models/cascade-mask-rcnn_uniformer_fpn.py', '../_base_/mini/coco_digits.py']

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
    *_base_.train_pipeline[:2],
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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
