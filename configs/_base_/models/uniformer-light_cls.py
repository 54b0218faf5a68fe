# Efficient UniFormer (XXS, XS) as trained on ImageNet-1K: the authors'
# image_classification/models/uniformer_light.py. The paper describes neither model nor recipe.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='uniformer_mm.UniFormerLight',
        arch='xs',
        drop_path_rate=0.1,
        out_indices=(3,),
        final_norm=True,
        with_cls_token=True,
    ),
    # Half of the loss is that of the class token, whose attention ranks the tokens; a test asks the
    # other half alone.
    head=dict(
        type='uniformer_mm.LightClsHead',
        num_classes=1000,
        in_channels=512,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    # One of the two for every batch, with even chances.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
