_base_ = ['../kinetics/uniformer-xxs-res128_in1k-pre_u16_8xb32-110e_kinetics400-rgb.py']

# The Kinetics recipe of the light networks on the moving digits of tools/demo/make_mini.py, for 2
# CPU cores, from the weights of uniformer-light-mini_1xb32_digits.py. Data, size and schedule
# differ, and what their scale asks for: no drop path, and float32. There is no flip, as a mirrored
# clip is of another class.
model = dict(
    backbone=dict(
        # Stage 3 has 128 tokens, of which 64 are kept behind its first block.
        arch='mini',
        drop_path_rate=0.0,
        init_cfg=dict(checkpoint='work_dirs/uniformer-light-mini_1xb32_digits/epoch_16.pth'),
    ),
    cls_head=dict(num_classes=4, in_channels=256),
    # Most batches stay unmixed: 375 steps are too few to learn from mixed ones alone.
    data_preprocessor=dict(blending=dict(num_classes=4, prob=0.2)),
)

# Steps are found by their place: open, sample, decode, policy, crop, resize, flip, erase, ...
steps = _base_.train_pipeline
train_pipeline = [*steps[:5], dict(steps[5], scale=(64, 64)), *steps[7:]]
val_pipeline = [
    *_base_.val_pipeline[:3],
    dict(type='Resize', scale=(-1, 64)),
    dict(type='CenterCrop', crop_size=64),
    *_base_.center_view[2:],
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(data_root='data/mini/kinetics', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=1,
    dataset=dict(data_root='data/mini/kinetics', pipeline=val_pipeline),
)
test_dataloader = val_dataloader

# 5 epochs of 75 steps of 16 videos, of two clips each.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=1e-3),
    paramwise_cfg=_base_.optim_wrapper.paramwise_cfg,
    clip_grad=_base_.optim_wrapper.clip_grad,
)
param_scheduler = dict(T_max=5, warmup=1)
train_cfg = dict(max_epochs=5)
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=15),
    checkpoint=dict(max_keep_ckpts=2),
    checkpoint_guard=dict(class_order=None),
)
randomness = dict(seed=0)
