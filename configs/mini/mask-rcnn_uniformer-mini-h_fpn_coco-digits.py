_base_ = [
    '../coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py',
    '../_base_/mini/coco_digits.py',
]

# The paper's Mask R-CNN on handwritten digits, from the weights of the classification demo. Only
# data, size and schedule differ, and what their scale asks for.
model = dict(
    _base_.digits_model,
    roi_head=dict(_base_.digits_roi_head, bbox_head=_base_.digits_bbox_head),
    train_cfg=dict(_base_.digits_rpn_train_cfg, rcnn=dict(sampler=dict(num=64))),
)

# No flip: a mirrored digit is another sign or none.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
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
