# 80k iterations of AdamW at a batch of 32: what Semantic FPN has. The old warm-up scaled a schedule
# that ran from the first iteration, so here too the cosine begins at 0.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-4),
    clip_grad=None,
)

# 1000 iterations of warm-up: LinearLR reaches its end value one iteration early.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1001),
    dict(type='CosineAnnealingLR', eta_min=2e-12, by_epoch=False, begin=0, end=80000),
]
train_cfg = dict(
    type='uniformer_mm.ResumableIterBasedTrainLoop', max_iters=80000, val_interval=4000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=32)
