from .distributed import CPUDistributedDataParallel
from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
    VideoDataHook,
)
from .schedules import WarmupCosineLR

__all__ = [
    'CPUDistributedDataParallel',
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'VideoDataHook',
    'WarmupCosineLR',
]
