_base_ = ['../_base_/models/mask-rcnn_uniformer_fpn.py', '../_base_/mini/coco_digits.py']

# The paper's Mask R-CNN on handwritten digits, from the weights of the classification demo. Only
# data, size and schedule differ, and what their scale asks for.
model = dict(
    _base_.digits_model,
    roi_head=dict(_base_.digits_roi_head, bbox_head=_base_.digits_bbox_head),
    train_cfg=dict(_base_.digits_rpn_train_cfg, rcnn=dict(sampler=dict(num=64))),
)
