# UniFormer with token labelling (Jiang et al., All Tokens Matter, NeurIPS 2021), as the UniFormer
# paper uses it (section 5.1). Attention heads have 32 channels; those of the plain network have 64.
model = dict(
    type='uniformer_mm.TokenLabelClassifier',  # MixToken in every training step
    backbone=dict(
        type='uniformer_mm.UniFormer',
        arch='small',
        head_dim=32,
        drop_path_rate=0.1,
        out_indices=(3,),
        final_norm=True,
    ),
    head=dict(
        type='uniformer_mm.TokenLabelHead',
        num_classes=1000,
        in_channels=512,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        # swap_axes=False takes each token's label from its own place; the authors' code confuses
        # rows and columns of the crop.
        target=dict(type='uniformer_mm.TokenLabelTarget', smoothing=0.1, swap_axes=True),
        loss=dict(type='uniformer_mm.TokenLabelLoss', cls_weight=1.0, dense_weight=1.0),
    ),
)
