from .hooks import CheckpointGuardHook, ClassCheckHook, EpochSeedHook, FiniteLossHook
from .schedules import WarmupCosineLR

__all__ = [
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'WarmupCosineLR',
]
