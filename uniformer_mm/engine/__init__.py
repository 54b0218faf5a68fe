from .distributed import CPUDistributedDataParallel
from .hooks import (
    BatchCountHook,
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    ImageCheckHook,
    IterSyncBuffersHook,
    LabelCheckHook,
    MissedValidationHook,
    PreemptionHook,
    SafeCheckpointHook,
    SyncBuffersHook,
    VideoDataHook,
    WorkDirLockHook,
    check_batch_count,
)
from .loops import ResumableIterBasedTrainLoop
from .schedules import EpochCosineLR, WarmupCosineLR

__all__ = [
    'BatchCountHook',
    'CPUDistributedDataParallel',
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochCosineLR',
    'EpochSeedHook',
    'FiniteLossHook',
    'ImageCheckHook',
    'IterSyncBuffersHook',
    'LabelCheckHook',
    'MissedValidationHook',
    'PreemptionHook',
    'ResumableIterBasedTrainLoop',
    'SafeCheckpointHook',
    'SyncBuffersHook',
    'VideoDataHook',
    'WarmupCosineLR',
    'WorkDirLockHook',
    'check_batch_count',
]
