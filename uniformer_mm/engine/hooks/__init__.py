from .checkpoint_guard import CheckpointGuardHook
from .class_check import ClassCheckHook
from .epoch_seed import EpochSeedHook
from .finite_loss import FiniteLossHook
from .label_check import LabelCheckHook
from .sync_buffers import IterSyncBuffersHook
from .video_data import VideoDataHook

__all__ = [
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FiniteLossHook',
    'IterSyncBuffersHook',
    'LabelCheckHook',
    'VideoDataHook',
]
