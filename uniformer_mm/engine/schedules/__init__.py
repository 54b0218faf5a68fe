from .epoch_cosine import EpochCosineLR
from .warmup_cosine import WarmupCosineLR

__all__ = ['EpochCosineLR', 'WarmupCosineLR']
