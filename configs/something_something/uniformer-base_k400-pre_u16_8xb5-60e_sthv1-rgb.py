_base_ = ['./uniformer-small_k400-pre_u16_8xb4-60e_sthv1-rgb.py']

# 8 GPUs x 5 = 40 videos a step, of two clips each; lr = 2.5e-4. Published top-1: 59.1, top-5 86.2.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth',
        ),
    )
)
train_dataloader = dict(batch_size=5)
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
auto_scale_lr = dict(base_batch_size=40)
randomness = dict(seed=6666)
