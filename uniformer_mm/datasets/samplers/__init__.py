from .repeat_aug import DeiTRepeatAugSampler

__all__ = ['DeiTRepeatAugSampler']
