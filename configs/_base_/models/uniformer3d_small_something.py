_base_ = ['./uniformer3d_small_k400-pre.py']

model = dict(
    cls_head=dict(num_classes=174),
    data_preprocessor=dict(
        to_rgb=True,  # reverses the channels: the authors' models see BGR
        blending=dict(num_classes=174),
    ),
)
