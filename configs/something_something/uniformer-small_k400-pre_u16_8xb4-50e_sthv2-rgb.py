_base_ = [
    '../_base_/models/uniformer3d.py',
    '../_base_/datasets/sthv2_u16.py',
    '../_base_/schedules/video_bs32_adamw_uniformer.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4. Published top-1: 67.7, top-5 91.4.
model = dict(
    backbone=dict(
        drop_path_rate=0.3,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth',
        ),
    ),
    cls_head=dict(num_classes=174),
    data_preprocessor=dict(
        to_rgb=True,  # reverses the channels: the authors' models see BGR
        blending=dict(num_classes=174),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = dict(T_max=50, warmup=5)
train_cfg = dict(max_epochs=50)
randomness = dict(seed=0)
