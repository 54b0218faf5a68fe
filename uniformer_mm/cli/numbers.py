"""Numbers of a config that its libraries take as they are, to the harm of the run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from uniformer_mm.arguments import (
    COUNT,
    NATURAL,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    RATE,
    SHARE,
    Kind,
)
from uniformer_mm.errors import UserError

_COUNT_OR_NONE = Kind('a positive integer, or -1', lambda x: x > 0 or x == -1, whole=True)
_BELOW_ONE = Kind('a number below 1', lambda x: x < 1)
_AT_MOST_ONE = Kind('a number of at most 1', lambda x: x <= 1)
_LENGTH = Kind('a positive number, or -1', lambda x: x > 0 or x == -1)
_WHOLE = Kind('a positive whole number', lambda x: x > 0 and x == int(x))
_SEED = Kind('an integer from 0 to 2**32 - 1', lambda x: 0 <= x < 2**32, whole=True)

# Dotted keys, as regular expressions for their ends, and what stands there. None may stand
# anywhere, and of a list every entry counts. Negative values that a library gives a meaning of its
# own, as -1 for "never", are allowed.
_RULES = tuple(
    (re.compile(rf'(?:.*\.)?(?:{pattern})(?:\.\d+)*'), kind)
    for pattern, kind in (
        (r'\w+_dataloader\.(batch_size|prefetch_factor)', COUNT),
        (r'\w+_dataloader\.num_workers', NATURAL),
        (r'\w+_dataloader\.timeout', NOT_NEGATIVE),
        (r'auto_scale_lr\.base_batch_size', COUNT),
        (r'train_cfg\.(max_epochs|max_iters|val_interval)', _WHOLE),
        (r'randomness\.seed', _SEED),
        (r'optim_wrapper\.accumulative_counts', COUNT),
        (r'clip_grad\.(max_norm|clip_value)', POSITIVE),
        (r'optimizer\.(lr|eps)', POSITIVE),
        (r'optimizer\.weight_decay|paramwise_cfg\.(.+\.)?\w+_mult', NOT_NEGATIVE),
        (r'optimizer\.(momentum|betas)', RATE),
        (r'param_scheduler(\.\d+)?\.(T_max|total_iters|step_size|gamma|end)', POSITIVE),
        (r'param_scheduler(\.\d+)?\.(begin|eta_min|milestones|power)', NOT_NEGATIVE),
        (r'default_hooks\.logger\.interval', COUNT),
        (r'(default|custom)_hooks\.\w+\.(interval|max_keep_ckpts)', _COUNT_OR_NONE),
        (r'log_processor\.window_size', COUNT),
        (r'\w+_evaluator(\.\d+)?\.topk', COUNT),
        (
            r'(model|data_preprocessor)\.(?!backbone)(.+\.)?(num_classes|(in_|out_|feat_)?channels)',
            COUNT,
        ),
        (r'model\.(.+\.)?loss_weight', NOT_NEGATIVE),
        (r'model\.(.+\.)?(label_smooth_val|label_smooth_eps)', RATE),
        (r'model\.(.+\.)?dropout_ratio', _BELOW_ONE),
        (r'augments(\.\d+)?\.alpha', POSITIVE),
        (r'model\.train_cfg\.probs', SHARE),
        (r'data_preprocessor\.(bgr_)?mean', NUMBER),
        (r'data_preprocessor\.(bgr_)?std', POSITIVE),
        (r'(pos|neg)_iou_thr|iou_threshold|pos_fraction', SHARE),
        (r'score_thr|min_pos_iou|mask_thr_binary', _AT_MOST_ONE),
        (r'sampler\.num|roi_layer\.output_size|rcnn\.mask_size', COUNT),
        (r'nms_pre|max_per_img', _COUNT_OR_NONE),
        (r'filter_cfg\.min_size', NOT_NEGATIVE),
        (r'data_preprocessor\.pad_size_divisor', COUNT),
        (r'sigma', POSITIVE),
        (r'(input|heatmap)_size', COUNT),
        (r'pipeline\.(.+\.)?\w*prob', SHARE),
        (r'pipeline\.(.+\.)?(scale|size)', _LENGTH),
        (r'pipeline\.(.+\.)?crop_size', POSITIVE),
        (r'pipeline\.(.+\.)?(area_range|crop_ratio_range|ratio_range)', NOT_NEGATIVE),
        (r'pipeline\.(.+\.)?aspect_ratio_range', POSITIVE),
        (r'pipeline\.(.+\.)?(clip_len|num_clips|size_divisor)', COUNT),
        (r'pipeline\.(.+\.)?frame_interval', NATURAL),  # 0 repeats one frame
    )
)
# Sizes of pose estimation, which divide each other.
_PAIR = re.compile(r'.*\b(codec|decoder|encoder)(\.\d+)?\.(input|heatmap)_size')


def check_numbers(cfg: Config) -> None:
    """See that well-known numbers of a config are such that a run can mean them.

    Raises:
        UserError: Names the key, what was expected and what stands there.
    """
    for key, value in _entries(cfg._cfg_dict, ''):
        if value is None:
            continue
        if _PAIR.fullmatch(key) and not (isinstance(value, list | tuple) and len(value) > 1):
            raise UserError(f'{key} must be (width, height); got {value!r}.')
        if isinstance(value, list | tuple):
            continue
        for pattern, kind in _RULES:
            if pattern.fullmatch(key) and not kind.allows(value):
                raise UserError(f'{key} must be {kind.text}; got {value!r}.')


def _entries(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The lists of a config and the entries that hold no others, with their dotted keys."""
    if not isinstance(node, dict):
        yield path, node
    if isinstance(node, dict):
        children = node.items()
    else:
        children = enumerate(node) if isinstance(node, list | tuple) else ()
    for key, child in children:
        yield from _entries(child, f'{path}.{key}' if path else str(key))
