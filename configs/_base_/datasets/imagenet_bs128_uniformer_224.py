# ImageNet-1K as the authors' scripts read it: crop, flip, rand-m9-mstd0.5-inc1, normalise, erase.
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py']

# Images are BGR until the data preprocessor flips and normalises them.
bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic'),
    dict(type='uniformer_mm.ContiguousFlip', prob=0.5, direction='horizontal'),
    # The same 15 operations, levels and chances as timm's rand-m9-mstd0.5-inc1.
    dict(
        type='uniformer_mm.TableRandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    dict(type='uniformer_mm.NormalizedRandomErasing', mean=bgr_mean, std=bgr_std, prob=0.25),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=False,  # EpochSeedHook seeds the workers when they start
    drop_last=True,
    dataset=dict(pipeline=train_pipeline),
    # 1,281,167 images: 1,251 steps on 8 GPUs. Epoch e is shuffled with seed e, as in DeiT.
    sampler=dict(
        _delete_=True,
        type='uniformer_mm.DeiTRepeatAugSampler',
        num_repeats=3,
        seed=0,
    ),
)
# The base's pipeline is the authors': bicubic to a short side of 256 = 224 / 0.875, center crop.
val_dataloader = dict(batch_size=128, num_workers=8)
test_dataloader = val_dataloader
