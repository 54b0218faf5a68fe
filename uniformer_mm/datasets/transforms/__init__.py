from .pose_augment import ClippedNormalScaleRotation, RandomBBoxShift
from .random_erasing import NormalizedRandomErasing

__all__ = ['ClippedNormalScaleRotation', 'NormalizedRandomErasing', 'RandomBBoxShift']
