from .dualformer import DualFormer
from .staged import StagedBackbone
from .uniformer import UniFormer
from .uniformer3d import UniFormer3D
from .uniformer_light import UniFormerLight, UniFormerLight3D

__all__ = [
    'DualFormer',
    'StagedBackbone',
    'UniFormer',
    'UniFormer3D',
    'UniFormerLight',
    'UniFormerLight3D',
]
