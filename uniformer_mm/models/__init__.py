from .backbones import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from .data_preprocessors import BatchMixFlip

__all__ = ['BatchMixFlip', 'UniFormer', 'UniFormer3D', 'UniFormerLight', 'UniFormerLight3D']
