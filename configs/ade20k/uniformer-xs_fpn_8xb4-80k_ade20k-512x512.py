_base_ = ['./uniformer-xxs_fpn_8xb4-80k_ade20k-512x512.py']

# 8 GPUs x 4 = 32 images a step, lr = 2e-4.
# The authors do not say which of their two files they start from: taken is the one of 224 pixels.
# The weights are on Google Drive only: see README.md.
model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.1,
        init_cfg=dict(checkpoint='weights/uniformer_xs_224_in1k.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
