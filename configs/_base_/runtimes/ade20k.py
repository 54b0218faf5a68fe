_base_ = ['mmseg::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

# All of them, since mmseg's runtime has none. The interval of checkpoints is the leaf's.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='uniformer_mm.SafeCheckpointHook',
        by_epoch=False,
        max_keep_ckpts=3,
        save_best='mIoU',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='uniformer_mm.IterSyncBuffersHook'),
    # The classes of data, label maps and heads agree, or nothing starts.
    check_heads=dict(type='uniformer_mm.HeadCheckHook'),
    # A checkpoint fits, a resumed run is the run it continues, and a broken loss is never saved.
    checkpoint_guard=dict(type='uniformer_mm.CheckpointGuardHook'),
    epoch_seed=dict(type='uniformer_mm.EpochSeedHook'),
    finite_loss=dict(type='uniformer_mm.FiniteLossHook'),
    # A schedule and a learning rate that a change of length or batch left behind are named.
    check_recipe=dict(type='uniformer_mm.RecipeCheckHook'),
    # Damaged images are named, enormous ones refused.
    check_images=dict(type='uniformer_mm.ImageCheckHook'),
    # There is something to train, in a work dir of its own; a signal ends it with a checkpoint.
    batch_count=dict(type='uniformer_mm.BatchCountHook'),
    work_dir_lock=dict(type='uniformer_mm.WorkDirLockHook'),
    preemption=dict(type='uniformer_mm.PreemptionHook'),
    missed_validation=dict(type='uniformer_mm.MissedValidationHook'),
)
