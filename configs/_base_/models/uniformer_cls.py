# UniFormer classifier as trained on ImageNet-1K (Li et al., UniFormer, TPAMI 2023, section 5.1).
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='uniformer_mm.UniFormer',
        arch='small',
        drop_path_rate=0.1,
        out_indices=(3,),
        final_norm=True,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    # One of the two for every batch, with even chances.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
