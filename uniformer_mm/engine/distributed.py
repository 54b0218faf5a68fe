"""Distributed training on machines without a GPU."""

from __future__ import annotations

from typing import Any

from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from torch import nn

from uniformer_mm.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """Distributed training without a GPU: no device ids, and BatchNorm in place of SyncBN."""

    def __init__(self, module: nn.Module, device_ids: Any = None, **kwargs: Any) -> None:
        sync = (nn.SyncBatchNorm, *_mmcv_sync_bn())
        if count := sum(isinstance(m, sync) for m in module.modules()):
            print_log(f'No GPU: {count} SyncBN layers became BatchNorm.', logger='current')
            module = revert_sync_batchnorm(module)
        super().__init__(module, **kwargs)


def _mmcv_sync_bn() -> tuple[type[nn.Module], ...]:
    """mmcv's own SyncBN, if mmcv was built with its ops."""
    try:
        from mmcv.ops import SyncBatchNorm
    except ImportError:
        return ()
    return (SyncBatchNorm,)
