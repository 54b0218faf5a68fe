_base_ = [
    '../_base_/models/mask-rcnn_uniformer_fpn.py',
    '../_base_/datasets/coco_instance.py',
    '../_base_/schedules/coco_1x_adamw.py',
    '../_base_/runtimes/coco_det.py',
]

# 8 GPUs x 2 = 16 images a step, lr = 1e-4; float32, as the authors train their light networks.
# The authors do not say which of their four files they start from: taken is the one of 224 pixels.
# The weights are on Google Drive only: see README.md.
model = dict(
    backbone=dict(
        _delete_=True,
        type='uniformer_mm.UniFormerLight',
        arch='xxs',
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint='weights/uniformer_xxs_224_in1k.pth'),
    ),
    neck=dict(in_channels=[56, 112, 224, 448]),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=_base_.optim_wrapper.optimizer,
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
)
