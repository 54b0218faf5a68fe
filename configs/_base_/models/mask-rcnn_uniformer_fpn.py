# Mask R-CNN on a dense UniFormer (Li et al., UniFormer, TPAMI 2023, section 5.3): stock heads, on
# regions that are cut out right under bfloat16 too.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='uniformer_mm.UniFormer',
        arch='small',
        stage3_style='hybrid',
        window_size=14,
    ),
    neck=dict(in_channels=[64, 128, 320, 512]),
    roi_head=dict(
        bbox_roi_extractor=dict(type='uniformer_mm.Float32RoIExtractor'),
        mask_roi_extractor=dict(type='uniformer_mm.Float32RoIExtractor'),
    ),
)
