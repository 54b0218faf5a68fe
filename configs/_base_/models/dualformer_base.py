_base_ = ['./dualformer_tiny.py']

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint='weights/dualformer_base_in1k.pth'),
    ),
    cls_head=dict(in_channels=1024),
)
