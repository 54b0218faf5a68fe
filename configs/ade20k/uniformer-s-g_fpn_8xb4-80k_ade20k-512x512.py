_base_ = [
    '../_base_/models/fpn_uniformer.py',
    '../_base_/datasets/ade20k_512x512_align32.py',
    '../_base_/schedules/ade20k_80k_adamw.py',
    '../_base_/runtimes/ade20k.py',
]

# 8 GPUs x 4 = 32 images a step, lr = 2e-4.
model = dict(
    backbone=dict(
        stage3_style='global',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='uniformer_small_in1k'),
    )
)
default_hooks = dict(checkpoint=dict(interval=4000))
