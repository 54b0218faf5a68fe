# ImageNet-1K as the authors' script of XS reads it: as theirs of S, but without repeats.
_base_ = ['./imagenet_bs128_uniformer_224.py']

train_dataloader = dict(
    batch_size=512,
    # 1,281,167 images: 312 steps on 8 GPUs.
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
)
