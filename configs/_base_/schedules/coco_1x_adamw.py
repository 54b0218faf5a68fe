# 12 epochs of AdamW at a batch of 16 in mixed precision. float16 as the authors trained (they with
# apex); tools/train.py --amp bf16 takes bfloat16, which needs no loss scale.
_base_ = ['mmdet::_base_/schedules/schedule_1x.py']

optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # A substring of the name: every norm of the backbone, and nothing in the heads ("bn").
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
)

# 500 iterations of warm-up: LinearLR is at its end value one iteration before `end`.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=501),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
