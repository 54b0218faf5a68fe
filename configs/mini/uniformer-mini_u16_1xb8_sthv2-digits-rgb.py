_base_ = ['../something_something/uniformer-small_k400-pre_u16_8xb4-50e_sthv2-rgb.py']

# The paper's Something-Something recipe on the raw frames of tools/demo/make_mini.py, for 2 CPU
# cores, from the weights of the Kinetics demo. Data, size and schedule differ, and
# what their scale asks for: no drop path, and float32.
model = dict(
    backbone=dict(
        arch='mini',
        drop_path_rate=0.0,
        init_cfg=dict(checkpoint='work_dirs/demo/video/recognizer.pth'),
    ),
    cls_head=dict(num_classes=4, in_channels=256),
    data_preprocessor=dict(blending=dict(num_classes=4)),
)

# Steps are found by their place: sample, decode, policy, crop, resize, erase, ...
steps = _base_.train_pipeline
train_pipeline = [*steps[:4], dict(steps[4], scale=(64, 64)), *steps[5:]]
val_pipeline = [
    *_base_.val_pipeline[:2],
    dict(type='Resize', scale=(-1, 64)),
    dict(type='CenterCrop', crop_size=64),
    *_base_.center_view[2:],
]
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='Resize', scale=(-1, 64)),
    dict(type='ThreeCrop', crop_size=64),
    *_base_.three_views[2:],
]

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    dataset=dict(data_root='data/mini/something', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    dataset=dict(data_root='data/mini/something', pipeline=val_pipeline),
)
test_dataloader = dict(
    batch_size=5,
    num_workers=1,
    dataset=dict(data_root='data/mini/something', pipeline=test_pipeline),
)

# 2 epochs of 25 steps of 8 videos, of two clips each.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=5e-4),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
    clip_grad=_base_.optim_wrapper.clip_grad,
)
param_scheduler = dict(T_max=2, warmup=1)
train_cfg = dict(max_epochs=2)
auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(max_keep_ckpts=2))
