_base_ = ['./dualformer_tiny.py']

model = dict(
    backbone=dict(
        arch='small',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='weights/dualformer_small_in1k.pth'),
    ),
    cls_head=dict(in_channels=768),
)
