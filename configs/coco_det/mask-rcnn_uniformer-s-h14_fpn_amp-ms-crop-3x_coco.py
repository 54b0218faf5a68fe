_base_ = [
    '../_base_/models/mask-rcnn_uniformer_fpn.py',
    '../_base_/datasets/coco_instance_ms-crop.py',
    '../_base_/schedules/coco_3x_adamw.py',
    '../_base_/runtimes/coco_det.py',
]

# 8 GPUs x 2 = 16 images a step, lr = 1e-4.
model = dict(
    backbone=dict(
        drop_path_rate=0.1,
        with_cp=(0, 0, 8, 0),
        init_cfg=dict(type='Pretrained', checkpoint='uniformer_small_in1k'),
    )
)
