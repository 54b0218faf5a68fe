from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    IterSyncBuffersHook,
)
from .schedules import WarmupCosineLR

__all__ = [
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'WarmupCosineLR',
]
