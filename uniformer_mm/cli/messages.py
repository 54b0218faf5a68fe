"""What a user can put right ends in one message."""

from __future__ import annotations

import difflib
import errno
import gc
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

import cv2
import torch
import torch.distributed as dist
from mmengine.dataset import BaseDataset
from mmengine.hooks import IterTimerHook
from mmengine.registry import Registry, build_from_cfg
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop
from torch._utils import ExceptionWrapper

from uniformer_mm.errors import UserError

from .entries import entry_of, place_of

_DEBUG = 'UNIFORMER_MM_DEBUG'
_LONGEST = 600  # characters of what another library says


def debugging() -> bool:
    """Whether tracebacks are wanted beside the messages."""
    return os.environ.get(_DEBUG, '0') not in ('', '0')


def run_tool(main: Callable[[], None]) -> None:
    """Run the main function of a tool; what the user can mend ends in one message, exit status 1.

    The status is ``os.EX_UNAVAILABLE`` if the other processes of a distributed run are gone. The
    environment variable ``UNIFORMER_MM_DEBUG=1`` shows the traceback as well.
    """
    status: int | str | None = 0
    try:
        main()
    except KeyboardInterrupt as stop:
        print(': '.join(['interrupted', *map(str, stop.args)]), file=sys.stderr)
        sys.exit(130)
    except SystemExit as stop:
        status = stop.code
    except Exception as error:
        lost = _lost_processes(error)
        message = lost or explain(error)
        if message is None:
            raise
        if debugging():
            traceback.print_exc()
        rank = os.environ.get('RANK', '0')
        line = f'error: {message}' if rank == '0' else f'[rank {rank}] error: {message}'
        if lost is None:
            sys.exit(line)
        print(line, file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
    if dist.is_available() and dist.is_initialized():
        # The runner is full of reference cycles and holds the process group. Left to the end of
        # the interpreter, the group's threads outlive what they use, and now and then abort.
        gc.collect()
        dist.destroy_process_group()
    if status:
        sys.exit(status)


def _lost_processes(error: BaseException) -> str | None:
    """The message for an error of the communication between processes, or None for another."""
    text = next(iter(str(error).splitlines()), '')
    # What gloo raises has no type of its own, but names the file of its code.
    if not isinstance(error, dist.DistError) and not (
        isinstance(error, RuntimeError) and '/gloo/' in text
    ):
        return None
    return (
        'This process has lost the others: one has ended, or has not answered in time (TIMEOUT of '
        f'tools/dist_train.sh, env_cfg.dist_cfg.timeout). {text}'
    )


def explain(error: BaseException) -> str | None:
    """The message for an error that the user can mend, or None for a fault of the program.

    Whatever is raised while a config is prepared and built, in the first iteration of training, or
    before the first validation or test has scores is taken for a fault of the config: the message
    has the entry that was being built or at work, as far as it can be told, what was said, and
    where. Later errors are explained only if they are of a known kind.
    """
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    kind = type(error)
    in_worker = any(_frames(error, ExceptionWrapper.reraise))
    worker = text if in_worker else ''
    if in_worker:  # the same type, with the worker's traceback as text
        names = (f'\n{kind.__module__}.{kind.__qualname__}: ', f'\n{kind.__qualname__}: ')
        text = next((text.rpartition(n)[2] for n in names if n in text), text).strip()

    if isinstance(error, UserError):
        return text
    entry = entry_of(error, worker)
    at = f'{entry}: ' if entry else ''
    said = textwrap.shorten(text or _source(error), _LONGEST, placeholder=' ...')
    said = f'{at}{kind.__name__}: {said}'
    debug = f'({place_of(error, worker)}; {_DEBUG}=1 shows the traceback.)'
    if isinstance(error, FileNotFoundError):
        return f'{at}{text}. Check the paths in the config (data: docs/data.md).'
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return (
            'The GPU has not enough memory. Lower train_dataloader.batch_size (with '
            '--auto-scale-lr), recompute activations (model.backbone.with_cp=True) or train in '
            f'half precision (--amp). {next(iter(text.splitlines()), "")}'
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return f'{text}. What was written before is whole: make room, and go on with --resume.'
    *_, build = [None, *_frames(error, build_from_cfg)]  # the innermost
    if isinstance(error, KeyError) and build and build.f_locals.get('obj_cls', '') is None:
        return explain_registry(build.f_locals['obj_type'], build.f_locals['registry'], entry)
    empty = [frame.f_locals['self'] for frame in _frames(error, BaseDataset._serialize_data)]
    if empty and isinstance(error, ValueError):
        source = empty[0].ann_file or empty[0].data_prefix
        return (
            f'{source}: no image left. Left out are images below filter_cfg.min_size and, with '
            'filter_empty_gt, those without an object of the classes in the config: '
            'metainfo=dict(classes=...) must give names of the annotation file. In pose estimation '
            'people without a labelled keypoint or a box with an area are left out, in '
            'segmentation files whose names do not end with img_suffix.'
        )
    # What a library raises if it cannot read a file; BaseDataset raises a bare Exception if one
    # sample after another cannot be used.
    is_unreadable = isinstance(error, AssertionError | OSError | cv2.error) or kind is Exception
    if is_unreadable and (in_worker or any(_frames(error, BaseDataset.__getitem__))):
        hint = ''
        if isinstance(error, cv2.error):  # it names no file
            hint = '; find DATA -type f -empty lists files of 0 bytes'
        return f'The data cannot be read: {said}{hint} {debug}'
    if build:
        return f'The config cannot be built: {said} {debug}'
    if _is_early(error):
        return f'The run cannot start: {said} {debug}'
    return None


def _source(error: BaseException) -> str:
    """The line of code that raised an error."""
    return traceback.extract_tb(error.__traceback__)[-1].line or ''


def _is_early(error: BaseException) -> bool:
    """Whether a run failed before its first iteration, validation or test was over."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = {frame.f_globals.get('__name__', '') for frame in frames} - {__name__}
    if any(module.startswith(__package__) for module in modules):
        return True  # one of the preparations, of which the last builds the runner
    runner = next((r for f in frames if isinstance(r := f.f_locals.get('self'), Runner)), None)
    if runner is None:
        return False
    loops = [loop for f in frames if isinstance(loop := f.f_locals.get('self'), BaseLoop)]
    split = {ValLoop: 'val/', TestLoop: 'test/'}.get(type(loops[-1])) if loops else None
    if split is not None:
        logged = runner.message_hub.log_scalars
        scores = [v for k, v in logged.items() if k.startswith(split) and not k.endswith('time')]
        return all(len(score.data[0]) <= 1 for score in scores)  # hooks come behind the first
    started = next((h.start_iter for h in runner.hooks if isinstance(h, IterTimerHook)), 0)
    loop = runner._train_loop  # that of the property builds it
    return not isinstance(loop, BaseLoop) or loop.iter == started


def _frames(error: BaseException, function: Callable) -> Iterator[FrameType]:
    """The calls of a function that an error passed through, outermost first."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is function.__code__:
            yield frame


def explain_registry(name: str, registry: Registry, entry: str | None = None) -> str:
    """What to say about a type that is in no registry, with names that are.

    Args:
        name: The type.
        registry: Where it was looked for.
        entry: Key of the entry that asks for it, if it is known.
    """
    root = registry
    while root.parent is not None:
        root = root.parent
    known = {key: [key] for key in root.module_dict}
    for child in root.children.values():
        for key in child.module_dict:
            known.setdefault(key, []).append(f'{child.scope}.{key}')
    scope, _, bare = name.rpartition('.')
    close = difflib.get_close_matches(bare, sorted(known), cutoff=0.7)
    names = [full for key in close for full in known[key]]
    names = [full for full in names if full.startswith(f'{scope}.')] or names
    hint = f' Did you mean {" or ".join(map(repr, names))}?' if names else ''
    return f'{entry or "The config"} asks for the type {name!r}, which no library provides.{hint}'
