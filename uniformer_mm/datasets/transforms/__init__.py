from .clip_sampling import DenseClipSample, SampleFramesV0
from .first_crop import FirstCrop
from .image_check import CheckImageFile
from .pose_augment import ClippedNormalScaleRotation, RandomBBoxShift
from .pyav import PyAVDecode, PyAVInit
from .random_erasing import ClipRandomErasing, NormalizedRandomErasing
from .seg_maps import LoadLabelMap, ResizeToAtLeast
from .video_rand_augment import VideoRandAugment

__all__ = [
    'CheckImageFile',
    'ClipRandomErasing',
    'ClippedNormalScaleRotation',
    'DenseClipSample',
    'FirstCrop',
    'LoadLabelMap',
    'NormalizedRandomErasing',
    'PyAVDecode',
    'PyAVInit',
    'RandomBBoxShift',
    'ResizeToAtLeast',
    'SampleFramesV0',
    'VideoRandAugment',
]
