_base_ = [
    '../_base_/models/uniformer3d.py',
    '../_base_/datasets/kinetics400_16x4.py',
    '../_base_/schedules/video_bs32_adamw_uniformer.py',
    '../_base_/runtimes/video.py',
]

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 1e-4. Published top-1: 80.8, top-5 94.7.
model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://huggingface.co/Sense-X/uniformer_image/resolve/main/uniformer_small_in1k.pth',
            inflate='average',
        ),
    )
)
# The classes of official files are renumbered as MMAction2 numbers them.
custom_hooks = [
    dict(type='uniformer_mm.VideoDataHook'),
    dict(type='uniformer_mm.CheckpointGuardHook', class_order='kinetics400'),
]
randomness = dict(seed=6666)
