from .backbones import UniFormer, UniFormer3D
from .batch_mix import BatchMixFlip

__all__ = ['BatchMixFlip', 'UniFormer', 'UniFormer3D']
