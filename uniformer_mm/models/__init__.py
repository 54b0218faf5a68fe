from .backbones import UniFormer
from .batch_mix import BatchMixFlip

__all__ = ['BatchMixFlip', 'UniFormer']
