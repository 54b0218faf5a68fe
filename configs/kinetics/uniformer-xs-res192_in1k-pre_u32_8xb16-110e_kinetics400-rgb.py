_base_ = [
    '../_base_/models/uniformer3d_light.py',
    '../_base_/datasets/kinetics400_u32_res192.py',
    '../_base_/schedules/kinetics_110e_adamw.py',
    '../_base_/runtimes/kinetics400.py',
]

# 8 GPUs x 16 = 128 videos a step, of two clips each; lr = 4e-4.
model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.1,
        init_cfg=dict(checkpoint='weights/uniformer_xs_192_in1k.pth'),
    ),
    cls_head=dict(in_channels=512),
)
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(optimizer=dict(lr=4e-4))
auto_scale_lr = dict(base_batch_size=128)
