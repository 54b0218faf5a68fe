_base_ = ['mmaction::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='acc/top1'))
# Labels agree with the head, or nothing starts; videos that cannot be read are counted.
custom_hooks = [dict(type='uniformer_mm.VideoDataHook')]
env_cfg = dict(cudnn_benchmark=True)
