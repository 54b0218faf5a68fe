_base_ = ['./uniformer3d_small_something.py']

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            checkpoint='uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66',
        ),
    )
)
