_base_ = [
    '../_base_/models/uniformer3d_light.py',
    '../_base_/datasets/kinetics400_u4_res128.py',
    '../_base_/schedules/kinetics_110e_adamw_light.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 32 = 256 videos a step, of two clips each; lr = 4e-4.
model = dict(
    backbone=dict(
        layer_scale_init_value=0.1,
        init_cfg=dict(allow_new_layer_scale=True),
    )
)
train_dataloader = dict(batch_size=32)
randomness = dict(seed=66667)
