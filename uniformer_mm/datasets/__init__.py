"""What the MM libraries lack between files and batches."""

from importlib.util import find_spec

from .samplers import DeiTRepeatAugSampler

__all__ = ['DeiTRepeatAugSampler']

if find_spec('mmcv'):  # a backbone alone needs no mmcv
    from .transforms import CheckSegMap, NormalizedRandomErasing, ResizeToAtLeast

    __all__ += ['CheckSegMap', 'NormalizedRandomErasing', 'ResizeToAtLeast']
