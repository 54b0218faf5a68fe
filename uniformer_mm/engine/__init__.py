from .distributed import CPUDistributedDataParallel
from .hooks import (
    BatchCountHook,
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
    MissedValidationHook,
    PreemptionHook,
    SafeCheckpointHook,
    VideoDataHook,
    WorkDirLockHook,
    check_batch_count,
)
from .schedules import EpochCosineLR, WarmupCosineLR

__all__ = [
    'BatchCountHook',
    'check_batch_count',
    'SafeCheckpointHook',
    'MissedValidationHook',
    'PreemptionHook',
    'WorkDirLockHook',
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
