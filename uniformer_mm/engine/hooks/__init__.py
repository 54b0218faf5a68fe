from .checkpoint_guard import CheckpointGuardHook
from .epoch_seed import EpochSeedHook
from .finite_loss import FiniteLossHook

__all__ = ['CheckpointGuardHook', 'EpochSeedHook', 'FiniteLossHook']
