# Top-down heatmaps on UniFormer (Li et al., UniFormer, TPAMI 2023, section 5.5): mmpose's head and
# tests of td-hm_res50 on the authors' backbone. The data set has the codec.
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='uniformer_mm.UniFormer',
        arch='small',
        # The head reads the last map: norms of the other stages would be parameters without use.
        out_indices=(3,),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='uniformer_small_in1k'),
    ),
    head=dict(
        type='HeatmapHead',
        in_channels=512,
        out_channels=17,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
)
