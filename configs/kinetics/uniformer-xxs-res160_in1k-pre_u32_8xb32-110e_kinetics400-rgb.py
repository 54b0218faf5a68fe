_base_ = [
    '../_base_/models/uniformer3d_light.py',
    '../_base_/datasets/kinetics400_u32_res160.py',
    '../_base_/schedules/kinetics_110e_adamw_light.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 32 = 256 videos a step, of two clips each; lr = 8e-4.
# Of the authors' light networks this one alone has its attention in mixed precision.
model = dict(backbone=dict(init_cfg=dict(checkpoint='weights/uniformer_xxs_160_in1k.pth')))
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
