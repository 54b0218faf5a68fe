_base_ = ['../_base_/models/mask-rcnn_uniformer_fpn.py', '../_base_/mini/coco_digits.py']

# The Mask R-CNN of the light networks on handwritten digits, from the weights of
# uniformer-light-mini_1xb32_digits.py. Only data, size and schedule differ, and what their scale
# asks for.
model = dict(
    _base_.digits_model,
    backbone=dict(
        _delete_=True,
        type='uniformer_mm.UniFormerLight',
        # Stage 3 has 80 tokens of a 128 x 160 image, of which 40 are kept behind its first block.
        arch='mini',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/uniformer-light-mini_1xb32_digits/epoch_16.pth',
        ),
    ),
    roi_head=dict(_base_.digits_roi_head, bbox_head=_base_.digits_bbox_head),
    train_cfg=dict(_base_.digits_rpn_train_cfg, rcnn=dict(sampler=dict(num=64))),
)
