# 160k iterations of AdamW at a batch of 16: what UperNet has. The old warm-up scaled a schedule
# that ran from the first iteration, so here too the descent begins at 0.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    # A substring of the name: every norm of the backbone, and nothing in the heads ("bn").
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
    clip_grad=None,
)

# 1500 iterations of warm-up: LinearLR and PolyLR reach their end values one iteration early.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=160001),
]
train_cfg = dict(
    type='uniformer_mm.ResumableIterBasedTrainLoop', max_iters=160000, val_interval=16000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
