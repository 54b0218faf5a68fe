_base_ = ['mmdet::_base_/default_runtime.py']

custom_imports = dict(imports=['uniformer_mm'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='coco/bbox_mAP'),
    # BatchNorm is per GPU in training; evaluation sees one set of statistics on every GPU.
    sync_buffers=dict(type='SyncBuffersHook'),
    # The classes of data, annotation files and heads agree, or nothing starts.
    check_classes=dict(type='uniformer_mm.ClassCheckHook'),
    check_heads=dict(type='NumClassCheckHook'),
)
