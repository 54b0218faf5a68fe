# 80k iterations of AdamW at a batch of 32: what Semantic FPN has. The old warm-up scaled a schedule
# that ran from the first iteration, so here too the cosine begins at 0.
_base_ = ['mmseg::_base_/schedules/schedule_80k.py']

optimizer = dict(_delete_=True, type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-4)
optim_wrapper = dict(optimizer=dict(optimizer))

# 1000 iterations of warm-up: LinearLR reaches its end value one iteration early.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1001),
    dict(type='CosineAnnealingLR', eta_min=2e-12, by_epoch=False, begin=0, end=80000),
]
train_cfg = dict(val_interval=4000)
auto_scale_lr = dict(enable=False, base_batch_size=32)

# Here and not in the runtime, as mmseg's schedules have the hooks.
default_hooks = dict(
    checkpoint=dict(interval=4000, max_keep_ckpts=3, save_best='mIoU'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='uniformer_mm.IterSyncBuffersHook'),
    # A checkpoint fits, a resumed run is the run it continues, and a broken loss is never saved.
    checkpoint_guard=dict(type='uniformer_mm.CheckpointGuardHook'),
    epoch_seed=dict(type='uniformer_mm.EpochSeedHook'),
    finite_loss=dict(type='uniformer_mm.FiniteLossHook'),
)
