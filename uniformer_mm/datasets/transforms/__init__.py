from .clip_sampling import DenseClipSample, SampleFramesV0
from .pyav import PyAVDecode, PyAVInit
from .random_erasing import ClipRandomErasing, NormalizedRandomErasing
from .video_rand_augment import VideoRandAugment

__all__ = [
    'ClipRandomErasing',
    'DenseClipSample',
    'NormalizedRandomErasing',
    'PyAVDecode',
    'PyAVInit',
    'SampleFramesV0',
    'VideoRandAugment',
]
