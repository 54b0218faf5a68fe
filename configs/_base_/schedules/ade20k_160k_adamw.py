# 160k iterations of AdamW at a batch of 16: what UperNet has. The old warm-up scaled a schedule
# that ran from the first iteration, so here too the descent begins at 0.
_base_ = ['mmseg::_base_/schedules/schedule_160k.py']

optimizer = dict(_delete_=True, type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01)
optim_wrapper = dict(
    optimizer=dict(optimizer),
    # A substring of the name: every norm of the backbone, and nothing in the heads ("bn").
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))),
)

# 1500 iterations of warm-up: LinearLR and PolyLR reach their end values one iteration early.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1501),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=160001),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)

# Here and not in the runtime, as mmseg's schedules have the hooks.
default_hooks = dict(
    checkpoint=dict(interval=16000, max_keep_ckpts=3, save_best='mIoU'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='uniformer_mm.IterSyncBuffersHook'),
    # A checkpoint fits, a resumed run is the run it continues, and a broken loss is never saved.
    checkpoint_guard=dict(type='uniformer_mm.CheckpointGuardHook'),
    epoch_seed=dict(type='uniformer_mm.EpochSeedHook'),
    finite_loss=dict(type='uniformer_mm.FiniteLossHook'),
)
