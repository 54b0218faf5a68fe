_base_ = ['./uniformer3d_small.py']

# From Kinetics-400: OpenMMLab's file of the 16x4 network. No weight depends on the frames.
model = dict(
    backbone=dict(
        drop_path_rate=0.2,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint='uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037',
        ),
    ),
)
