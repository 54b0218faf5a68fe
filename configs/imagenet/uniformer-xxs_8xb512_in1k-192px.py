_base_ = ['./uniformer-xxs_8xb512_in1k-224px.py']

# 8 GPUs x 512 = 4096 images a step, lr = 4e-4 x 4096 / 512 = 3.2e-3.
train_pipeline = [
    _base_.train_pipeline[0],
    dict(_base_.train_pipeline[1], scale=192),
    *_base_.train_pipeline[2:],
]
# Short side 192 x 256 / 224, rounded down.
test_pipeline = [
    _base_.test_pipeline[0],
    dict(_base_.test_pipeline[1], scale=219),
    dict(type='CenterCrop', crop_size=192),
    _base_.test_pipeline[3],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
