_base_ = [
    '../_base_/models/uniformer_cls.py',
    '../_base_/mini/imagenet_digits.py',
    '../_base_/schedules/imagenet_bs1024_adamw_uniformer.py',
]

# The paper's ImageNet recipe on tools/demo/make_mini.py's handwritten digits, for 2 CPU cores.
# Only data, size and schedule differ, and what their scale asks for.
model = dict(
    # Every block type; four blocks in stage 3 make a hybrid of three windows and one global.
    backbone=dict(arch='mini', drop_path_rate=0.0),
    head=dict(num_classes=10, in_channels=256),
    # Most batches stay unmixed: 1,500 steps are too few to learn from mixed ones alone.
    train_cfg=dict(probs=[0.05, 0.05]),
)
# 56 pixels show a digit as well as 64, with 0.77 times the multiply-adds.
load, crop, *steps = _base_.train_pipeline
train_dataloader = dict(
    dataset=dict(pipeline=[load, dict(crop, scale=56), *steps]),
    # Repeats are for many GPUs; on one they would fill a batch with copies.
    sampler=dict(num_repeats=1, round_to=32),
)
load, resize, crop, pack = _base_.test_pipeline
val_dataloader = dict(
    dataset=dict(pipeline=[load, dict(resize, scale=64), dict(crop, crop_size=56), pack])
)
test_dataloader = val_dataloader

# 12 epochs of 125 steps; one kernel for all parameters is a tenth of a step on a CPU.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(lr=2e-3, fused=True))
param_scheduler = dict(T_max=12, warmup=2, warmup_lr=5e-4, lag=0)
train_cfg = dict(max_epochs=12, val_interval=6)
auto_scale_lr = dict(base_batch_size=32)

# An average over the last fifty steps instead of the last 25,000.
custom_hooks = [dict(_base_.custom_hooks[0], momentum=0.02)]
