_base_ = ['./uniformer-small_k400-pre_u32_8xb4-60e_sthv1-rgb.py']

# 8 GPUs x 4 = 32 videos a step, of two clips each; lr = 2e-4. Published top-1: 60.9, top-5 87.3.
model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth',
        ),
    )
)
randomness = dict(seed=6666)
