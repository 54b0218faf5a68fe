from .distributed import CPUDistributedDataParallel
from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
    LabelCheckHook,
    VideoDataHook,
)
from .schedules import EpochCosineLR, WarmupCosineLR

__all__ = [
    'CPUDistributedDataParallel',
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochCosineLR',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'LabelCheckHook',
    'VideoDataHook',
    'WarmupCosineLR',
]
