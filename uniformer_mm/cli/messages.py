"""What a user can put right ends in one message."""

from __future__ import annotations

import difflib
import gc
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable

import torch
import torch.distributed as dist
from mmengine.registry import build_from_cfg

from uniformer_mm.checkpoints import CheckpointError
from uniformer_mm.errors import UserError

_DEBUG = 'UNIFORMER_MM_DEBUG'


def run_tool(main: Callable[[], None]) -> None:
    """Run the main function of a tool; what the user can mend ends in one message, exit status 1.

    The environment variable ``UNIFORMER_MM_DEBUG=1`` shows the traceback as well.
    """
    try:
        main()
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        if os.environ.get(_DEBUG, '0') not in ('', '0'):
            traceback.print_exc()
        rank = os.environ.get('RANK', '0')
        sys.exit(f'error: {message}' if rank == '0' else f'[rank {rank}] error: {message}')
    if dist.is_available() and dist.is_initialized():
        # The runner is full of reference cycles and holds the process group. Left to the end of
        # the interpreter, the group's threads outlive what they use, and now and then abort.
        gc.collect()
        dist.destroy_process_group()


def explain(error: BaseException) -> str | None:
    """The message for an error that the user can mend, or None for a fault of the program."""
    # An error in a data worker comes back as the same type with the worker's traceback as text.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [line for line in text.splitlines() if line.strip()]
    if 'DataLoader worker' in text and lines:
        text = lines[-1].removeprefix(f'{type(error).__module__}.{type(error).__qualname__}: ')

    if isinstance(error, UserError | CheckpointError | FloatingPointError):
        return text
    if isinstance(error, FileNotFoundError):
        return f'{text}. Check the paths in the config (data: docs/data.md).'
    if isinstance(error, AssertionError) and 'failed to load image' in text:
        return f'{text.rpartition("AssertionError: ")[2]}: it is damaged, or no image.'
    if '!buf.empty()' in text:  # OpenCV does not say which
        return 'An image file is empty (0 bytes); list such files with: find DATA -type f -empty'
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return (
            'The GPU has not enough memory. Lower train_dataloader.batch_size (with '
            '--auto-scale-lr), recompute activations (model.backbone.with_cp=True) or train in '
            f'half precision (--amp). {lines[0] if lines else ""}'
        )
    if isinstance(error, KeyError) and ' registry. ' in text:
        return explain_registry(text)
    if 'Cannot find valid image after' in text:  # from mmengine's BaseDataset
        return (
            'One sample of the training data after another could not be used, so training stopped; '
            'the log names the files that could not be read.'
        )
    if 'need at least one array to concatenate' in text:  # from mmengine's BaseDataset
        return (
            'A data set has no image left. Left out are images below filter_cfg.min_size and, with '
            'filter_empty_gt, those without an object of the classes in the config: '
            'metainfo=dict(classes=...) must give names of the annotation file. In pose estimation '
            'people without a labelled keypoint or a box with an area are left out.'
        )
    if _is_raised_by_build(error):
        return (
            f'The config cannot be built: {type(error).__name__}: {text} ({_DEBUG}=1 shows where.)'
        )
    return None


def explain_registry(text: str) -> str:
    """mmengine's "X is not in the scope::kind registry", with names that are."""
    name, _, rest = text.partition(' is not in the ')
    known = set()
    for registry in vars(importlib.import_module('mmengine.registry')).values():
        if rest.partition(' ')[0].endswith(f'::{getattr(registry, "name", None)}'):
            for reg in (registry, *registry.children.values()):
                prefix = '' if reg.parent is None else f'{reg.scope}.'
                known |= {f'{prefix}{key}' for key in reg.module_dict}
    bare = {key.rpartition('.')[2]: key for key in sorted(known)}  # a scoped name wins
    close = difflib.get_close_matches(name.rpartition('.')[2], bare, cutoff=0.7)
    hint = f' Did you mean {" or ".join(repr(bare[c]) for c in close)}?' if close else ''
    return f'The config asks for the type {name!r}, which no library provides.{hint}'


def _is_raised_by_build(error: BaseException) -> bool:
    """Whether a constructor refused what the config gave it."""
    if not isinstance(error, TypeError | ValueError | AssertionError | KeyError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code is build_from_cfg.__code__ for frame, _ in frames)
