_base_ = ['./dualformer_tiny_16f.py']

# From Kinetics-400 with 32 frames.
model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='weights/dualformer_tiny_k400.pth'
        ),
    ),
)
