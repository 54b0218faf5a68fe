from .backbones import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from .data_preprocessors import BatchMixFlip
from .losses import TeacherTokenLoss, TokenLabelLoss, TokenLabelTarget

__all__ = [
    'BatchMixFlip',
    'DualFormer',
    'TeacherTokenLoss',
    'TokenLabelLoss',
    'TokenLabelTarget',
    'UniFormer',
    'UniFormer3D',
    'UniFormerLight',
    'UniFormerLight3D',
]
