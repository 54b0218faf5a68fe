from .batch_count import BatchCountHook, check_batch_count
from .checkpoint_guard import CheckpointGuardHook
from .checkpoints import SafeCheckpointHook
from .class_check import ClassCheckHook
from .epoch_seed import EpochSeedHook
from .fast_inference import FAST_DTYPES, FastInferenceHook, fold_backbone
from .finite_loss import FiniteLossHook
from .head_check import HeadCheckHook
from .image_check import ImageCheckHook
from .label_check import LabelCheckHook
from .missed_validation import MissedValidationHook
from .preemption import PreemptionHook
from .recipe_check import RecipeCheckHook
from .sync_buffers import IterSyncBuffersHook, SyncBuffersHook
from .video_data import VideoDataHook
from .work_dir import WorkDirLockHook

__all__ = [
    'FAST_DTYPES',
    'BatchCountHook',
    'CheckpointGuardHook',
    'ClassCheckHook',
    'EpochSeedHook',
    'FastInferenceHook',
    'FiniteLossHook',
    'HeadCheckHook',
    'ImageCheckHook',
    'IterSyncBuffersHook',
    'LabelCheckHook',
    'MissedValidationHook',
    'PreemptionHook',
    'RecipeCheckHook',
    'SafeCheckpointHook',
    'SyncBuffersHook',
    'VideoDataHook',
    'WorkDirLockHook',
    'check_batch_count',
    'fold_backbone',
]
