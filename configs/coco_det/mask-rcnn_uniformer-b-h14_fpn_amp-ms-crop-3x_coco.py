_base_ = ['./mask-rcnn_uniformer-s-h14_fpn_amp-ms-crop-3x_coco.py']

# 8 GPUs x 2 = 16 images a step, lr = 1e-4.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        with_cp=(0, 0, 20, 0),
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
