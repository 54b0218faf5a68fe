# DualFormer for clips of 32 frames as trained on Kinetics-400 (Liang et al., DualFormer, ECCV 2022,
# section 4).
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='uniformer_mm.DualFormer',
        arch='tiny',
        clip_size=(32, 224, 224),
        drop_path_rate=0.1,
        # The authors' image classifiers were never released: see configs/kinetics/README.md.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='weights/dualformer_tiny_in1k.pth',
            inflate='average',
        ),
    ),
    cls_head=dict(
        type='uniformer_mm.Float32I3DHead',  # I3DHead, in bfloat16 too
        num_classes=400,
        in_channels=512,
        dropout_ratio=0.5,
        init_std=0.01,
        average_clips='prob',  # softmax of every view, then the mean
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
    test_cfg=dict(max_testing_views=4),  # that pass the network at once
)
