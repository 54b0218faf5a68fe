_base_ = ['mmpretrain::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='accuracy/top1'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='SyncBuffersHook'),
)
env_cfg = dict(cudnn_benchmark=True)
randomness = dict(seed=0, diff_rank_seed=True)
