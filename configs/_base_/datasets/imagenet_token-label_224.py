# ImageNet-1K with a label map for each training image, as the authors' token-label scripts read it:
# flip, rand-m9-mstd0.5-inc1 on the whole image and its map, crop, normalise, erase.
#
# Mean and std are the base's, those of ImageNet. The authors' scripts take timm's for ViT: these in
# timm 0.4.5, but 0.5 and 0.5 in 0.4.12. Which of the two was installed, they do not say.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py']

# Images are BGR until the data preprocessor flips and normalises them.
bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='uniformer_mm.LoadTokenLabel', num_classes=1000),
    dict(type='uniformer_mm.TokenLabelFlip', prob=0.5, direction='horizontal'),
    # The same 15 operations, levels and chances as timm's rand-m9-mstd0.5-inc1; those that move
    # pixels interpolate bilinearly or bicubically, by chance, and so does the crop.
    dict(
        type='uniformer_mm.TokenLabelRandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124]),
    ),
    dict(type='uniformer_mm.TokenLabelRandomResizedCrop', scale=224, backend='pillow'),
    dict(type='uniformer_mm.NormalizedRandomErasing', mean=bgr_mean, std=bgr_std, prob=0.25),
    dict(type='PackInputs', algorithm_keys=['token_label', 'crop_box']),
]
# Bicubic to a short side of 248 = 224 / 0.9, center crop.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=248, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,  # EpochSeedHook seeds the workers when they start
    drop_last=True,
    dataset=dict(
        type='uniformer_mm.TokenLabelImageNet',
        label_root='data/label_top5_train_nfnet',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(batch_size=128, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
