_base_ = ['./mask-rcnn_uniformer-xxs_fpn_1x_coco.py']

# 8 GPUs x 2 = 16 images a step, lr = 1e-4; float32, as the authors train their light networks.
# The authors do not say which of their two files they start from: taken is the one of 224 pixels.
# The weights are on Google Drive only: see README.md.
model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.15,
        init_cfg=dict(checkpoint='weights/uniformer_xs_224_in1k.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
