_base_ = ['./uniformer3d_small_k400-pre.py']

model = dict(
    cls_head=dict(num_classes=101),
    data_preprocessor=dict(blending=dict(num_classes=101)),
)
