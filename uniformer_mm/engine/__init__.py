from .distributed import CPUDistributedDataParallel
from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
    VideoDataHook,
)
from .loops import ResumableIterBasedTrainLoop
from .schedules import EpochCosineLR, WarmupCosineLR

__all__ = [
    'CPUDistributedDataParallel',
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochCosineLR',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'ResumableIterBasedTrainLoop',
    'VideoDataHook',
    'WarmupCosineLR',
]
