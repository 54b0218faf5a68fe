_base_ = ['mmpose::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(
        type='uniformer_mm.SafeCheckpointHook',
        interval=5,
        max_keep_ckpts=3,
        save_best='coco/AP',
        rule='greater',
    ),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU. Here
    # instead of in custom_hooks, where a list of the user's own would replace it.
    sync_buffers=dict(type='uniformer_mm.SyncBuffersHook'),
    # The keypoints of data and head agree, or nothing starts.
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
custom_hooks = []
visualizer = dict(type='uniformer_mm.PoseLocalVisualizer')
# Here and not in the schedule, since mmpose's runtime has the loops.
train_cfg = dict(max_epochs=210, val_interval=10)
