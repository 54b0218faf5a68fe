_base_ = ['./mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py']

# 8 GPUs x 2 = 16 images a step, lr = 1e-4.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        with_cp=False,
        init_cfg=dict(checkpoint='uniformer_base_in1k'),
    )
)
