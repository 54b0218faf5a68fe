from .random_erasing import NormalizedRandomErasing
from .seg_maps import CheckSegMap, ResizeToAtLeast

__all__ = ['CheckSegMap', 'NormalizedRandomErasing', 'ResizeToAtLeast']
