_base_ = ['mmpretrain::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(
        type='uniformer_mm.SafeCheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        save_best='accuracy/top1',
    ),
    visualization=dict(type='uniformer_mm.ClsVisualizationHook'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='uniformer_mm.SyncBuffersHook'),
    # Classes of data, labels and heads agree, or nothing starts.
    check_heads=dict(type='uniformer_mm.HeadCheckHook'),
    check_labels=dict(type='uniformer_mm.LabelCheckHook'),
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
# Without the scope that a base of another library leaves in it: mmpretrain's browse_dataset.py
# would hand it to the visualizer.
visualizer = dict(
    _delete_=True, type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
)
env_cfg = dict(cudnn_benchmark=True)
randomness = dict(seed=0, diff_rank_seed=True)
