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
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'VideoDataHook',
    'WarmupCosineLR',
]
