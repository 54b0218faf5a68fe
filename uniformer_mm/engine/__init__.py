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
    VideoDataHook,
    WorkDirLockHook,
    check_batch_count,
)
from .loops import ResumableIterBasedTrainLoop
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
    'ImageCheckHook',
    'IterSyncBuffersHook',
    'LabelCheckHook',
    'ResumableIterBasedTrainLoop',
    'VideoDataHook',
    'WarmupCosineLR',
]
