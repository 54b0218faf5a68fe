_base_ = ['../kinetics/uniformer-small_in1k-pre_8x8x1_8xb16-100e_kinetics400-rgb.py']

# The paper's Kinetics recipe on the moving digits of tools/demo/make_mini.py, for 2 CPU cores.
# Data, size and schedule differ, and what their scale asks for: no drop path, and float32. There is
# no flip, as a mirrored clip is of another class.
model = dict(
    backbone=dict(
        arch='mini',
        drop_path_rate=0.0,
        # The image classifier of the first demo, inflated.
        init_cfg=dict(checkpoint='work_dirs/demo/cls/classifier.pth'),
    ),
    cls_head=dict(num_classes=4, in_channels=256),
    data_preprocessor=dict(blending=dict(num_classes=4)),
)

# Steps are found by their place: open, sample, decode, policy, crop, resize, flip, erase, ...
steps = _base_.train_pipeline
train_pipeline = [
    steps[0],
    dict(steps[1], frame_interval=2),
    *steps[2:5],
    dict(steps[5], scale=(64, 64)),
    *steps[7:],
]
small_view = [
    dict(type='Resize', scale=(-1, 64)),
    dict(type='CenterCrop', crop_size=64),
    *_base_.center_view[2:],
]
val_pipeline, test_pipeline = (
    [open_video, dict(sample, frame_interval=2), decode, *small_view]
    for open_video, sample, decode, *_ in (_base_.val_pipeline, _base_.test_pipeline)
)

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
test_dataloader = dict(
    batch_size=5,
    num_workers=1,
    dataset=dict(data_root='data/mini/kinetics', pipeline=test_pipeline),
)

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
