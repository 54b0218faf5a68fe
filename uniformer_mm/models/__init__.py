from .backbones import UniFormer, UniFormer3D

__all__ = ['UniFormer', 'UniFormer3D']
