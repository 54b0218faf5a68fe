_base_ = ['../kinetics/dualformer-tiny_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb.py']

# DualFormer's Kinetics recipe on the moving digits of tools/demo/make_mini.py, for 2 CPU cores.
# Data, size and schedule differ, and what their scale asks for: no drop path, no dropout, and
# float32. There is no flip, as a mirrored clip is of another class.
# It starts from nothing, so that the backbone learns as fast as the head. The usual initial weights
# are made for hundreds of channels: with them, the loss had not moved after 350 steps.
model = dict(
    backbone=dict(
        arch='mini',
        clip_size=(8, 64, 64),
        # Of 4 frames of 16 x 16 tokens in the first stage and 8 x 8 in the second: windows, and
        # pyramids of two levels. Later stages attend to all of their tokens.
        window_sizes=((4, 4, 4),) * 4,
        fine_sizes=((4, 4, 4),) * 4,
        coarse_sizes=((2, 2, 2), (2, 2, 2), None, None),
        drop_path_rate=0.0,
        init_cfg=dict(
            _delete_=True,
            type='Xavier',
            layer=['Linear', 'Conv3d'],
            gain=2,
            distribution='uniform',
        ),
    ),
    cls_head=dict(num_classes=4, in_channels=256, dropout_ratio=0.0, init_std=0.1),
)

# Steps are found by their place: open, sample, decode, resize, crop, resize, flip, format, pack.
steps = _base_.train_pipeline
train_pipeline = [
    steps[0],
    dict(steps[1], clip_len=8),
    steps[2],
    dict(steps[3], scale=(-1, 73)),
    dict(steps[4], area_range=(0.6, 1.0)),  # what remains of a digit must show where it moves
    dict(steps[5], scale=(64, 64)),
    *steps[7:],
]
val_pipeline, test_pipeline = (
    [
        open_video,
        dict(sample, clip_len=8),
        decode,
        dict(resize, scale=(-1, short_side)),
        dict(crop, crop_size=64),
        *last,
    ]
    for short_side, (open_video, sample, decode, resize, crop, *last) in (
        (73, _base_.val_pipeline),
        (64, _base_.test_pipeline),
    )
)

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(data_root='data/mini/kinetics', pipeline=train_pipeline),
)
# One video at a time, as in the recipe.
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root='data/mini/kinetics', pipeline=val_pipeline),
)
test_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root='data/mini/kinetics', pipeline=test_pipeline),
)

# 8 epochs of 75 steps of 16 videos.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=_base_.optim_wrapper.optimizer,
    paramwise_cfg=dict(custom_keys=dict(pos_block=dict(decay_mult=0.0))),
)
param_scheduler = dict(T_max=8, warmup=1)
train_cfg = dict(max_epochs=8, val_interval=2)
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(logger=dict(interval=15), checkpoint=dict(max_keep_ckpts=2))
randomness = dict(seed=0)
