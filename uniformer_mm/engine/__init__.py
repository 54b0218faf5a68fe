from .hooks import (
    CheckpointGuardHook,
    ClassCheckHook,
    EpochSeedHook,
    FiniteLossHook,
    VideoDataHook,
)
from .schedules import WarmupCosineLR

__all__ = [
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'VideoDataHook',
    'WarmupCosineLR',
]
