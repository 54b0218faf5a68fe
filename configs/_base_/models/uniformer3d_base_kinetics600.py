_base_ = ['./uniformer3d_base.py']

model = dict(
    cls_head=dict(num_classes=600),
    data_preprocessor=dict(blending=dict(num_classes=600)),
)
