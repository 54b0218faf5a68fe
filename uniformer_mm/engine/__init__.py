from .hooks import CheckpointGuardHook, EpochSeedHook, FiniteLossHook
from .schedules import WarmupCosineLR

__all__ = ['CheckpointGuardHook', 'EpochSeedHook', 'FiniteLossHook', 'WarmupCosineLR']
