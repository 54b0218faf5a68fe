# Fine-tuning at 384 pixels: larger crops, and with them 12 x 12 instead of 7 x 7 token labels.
_base_ = ['./imagenet_token-label_224.py']

train_pipeline = [
    *_base_.train_pipeline[:4],
    dict(type='uniformer_mm.TokenLabelRandomResizedCrop', scale=384, backend='pillow'),
    *_base_.train_pipeline[5:],
]
# A short side of 426 = 384 / 0.9.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=426, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=384),
    dict(type='PackInputs'),
]

train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
