from .staged import StagedBackbone
from .uniformer import UniFormer
from .uniformer3d import UniFormer3D

__all__ = ['StagedBackbone', 'UniFormer', 'UniFormer3D']
