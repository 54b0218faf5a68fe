# UniFormer for clips as trained on Kinetics-400 (Li et al., UniFormer, TPAMI 2023, section 5.2).
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='uniformer_mm.UniFormer3D',
        arch='small',
        drop_path_rate=0.1,
        # An image classifier: every kernel is repeated in time and divided by its length.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='uniformer_small_in1k',
            inflate='average',
        ),
    ),
    cls_head=dict(
        type='uniformer_mm.Float32I3DHead',  # I3DHead, which predicts probabilities
        num_classes=400,
        in_channels=512,
        dropout_ratio=0.0,
        init_std=0.02,
        label_smooth_eps=0.1,
        average_clips='score',  # logits of all views, as the authors; 'prob' averages softmax
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW',
        # Mixup of 0.8 or CutMix of 1.0, with even chances, on every batch.
        blending=dict(type='uniformer_mm.BatchMixFlip', num_classes=400),
    ),
)
