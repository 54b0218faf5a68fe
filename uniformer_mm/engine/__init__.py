from .distributed import CPUDistributedDataParallel
from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
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
    'VideoDataHook',
    'WarmupCosineLR',
]
