from .backbones import UniFormer

__all__ = ['UniFormer']
