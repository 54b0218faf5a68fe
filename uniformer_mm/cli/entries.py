"""Which entry of a run's config an error comes from."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS, Registry
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop

_KEYS = inspect.signature(Runner.__init__).parameters
# Functions that make something of an entry, and their variable that holds it.
_MAKERS = {
    Registry.build.__code__: 'cfg',
    Runner.build_dataloader.__code__: 'dataloader',
    Runner.register_hook.__code__: 'hook',
}
# Those that deal with one entry alone.
_PARTS = {
    method.__code__: key
    for method, key in (
        (Runner.setup_env, 'env_cfg'),
        (Runner.set_randomness, 'randomness'),
        (Runner.build_logger, 'log_level'),
        (Runner.build_log_processor, 'log_processor'),
        (Runner.build_visualizer, 'visualizer'),
        (Runner.build_model, 'model'),
        (Runner.build_train_loop, 'train_cfg'),
        (Runner.build_val_loop, 'val_cfg'),
        (Runner.build_test_loop, 'test_cfg'),
        (Runner.scale_lr, 'auto_scale_lr'),
        (Runner.build_optim_wrapper, 'optim_wrapper'),
        (Runner.build_param_scheduler, 'param_scheduler'),
        (Runner.register_default_hooks, 'default_hooks'),
        (Runner.register_custom_hooks, 'custom_hooks'),
    )
}
_PLACE = re.compile(r'File "(.+?)", line (\d+)')


def entry_of(error: BaseException, worker: str = '') -> str | None:
    """The dotted key of the entry that was being built, or of what ran; None if it cannot be told.

    Args:
        error: What was raised.
        worker: The traceback of the data worker in which it was raised, if it was in one.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    cfg = next((c for f in frames if isinstance(c := f.f_locals.get('cfg'), Config)), None)
    if cfg is None:
        return None
    # Other keys are the variables of a file, of which copies may stand in the entries.
    nodes = list(_nodes({key: cfg[key] for key in cfg if key in _KEYS}, ''))
    return _built(frames, nodes) or _ran(frames, nodes, cfg.get('default_scope'), worker)


def _nodes(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    """The dicts of a config with their dotted keys."""
    if isinstance(node, dict) and path:
        yield path, node
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        if isinstance(child, dict | list | tuple):
            yield from _nodes(child, f'{path}.{key}' if path else str(key))


def _built(frames: list[FrameType], nodes: list[tuple[str, dict]]) -> str | None:
    """The innermost entry that was being built.

    Runner and libraries copy the entries and add to them or take from them before they build them,
    so an entry is known by what is left: its type, and no value that differs.
    """
    found = None
    for frame in frames:
        found = _PARTS.get(frame.f_code, found)
        made = frame.f_locals.get(_MAKERS.get(frame.f_code, ''))
        if not isinstance(made, dict):
            continue
        found = _narrow(found, [path for path, node in nodes if _is_copy(node, made)])
    return found


def _narrow(found: str | None, fits: list[str]) -> str | None:
    """The first that fits: the entry found so far, one inside it, or else any."""
    inside = [path for path in fits if f'{path}.'.startswith(f'{found}.')]
    return next(iter(inside or fits), found)


def _is_copy(node: dict, made: dict) -> bool:
    shared = node.keys() & made.keys()
    return (
        bool(shared)
        and node.get('type') == made.get('type')
        and all(node[key] == made[key] for key in shared)
    )


def _ran(
    frames: list[FrameType], nodes: list[tuple[str, dict]], scope: str | None, worker: str
) -> str | None:
    """The innermost entry whose object was at work, known by the name of its type."""
    # What a hook raises, the runner may raise anew.
    names = {Runner.call_hook.__code__: 'hook'}
    owners = [frame.f_locals.get(names.get(frame.f_code, 'self')) for frame in frames]
    loops = [owner for owner in owners if isinstance(owner, BaseLoop)]
    split = 'train'
    if loops:
        split = {ValLoop: 'val', TestLoop: 'test'}.get(type(loops[-1]), 'train')
    # What belongs to the loop that ran, and what belongs to all.
    others = tuple(f'{name}_' for name in ('train', 'val', 'test') if name != split)
    types = [(path, node.get('type')) for path, node in nodes if not path.startswith(others)]
    types = [(path, kind) for path, kind in types if isinstance(kind, str)]
    if worker:
        data = [(path, kind) for path, kind in types if 'dataset' in path]
        return _in_worker(worker, data, scope)
    found = None
    for owner in owners:
        name = type(owner).__name__
        found = _narrow(found, [path for path, kind in types if kind.rpartition('.')[2] == name])
    return found


def _in_worker(text: str, types: list[tuple[str, str]], scope: str | None) -> str | None:
    """As :func:`_ran`, from the text of a traceback: by the lines that define a type."""
    sources = []
    for path, kind in types:
        root = TRANSFORMS if 'pipeline' in path else DATASETS
        with root.switch_scope_and_registry(scope) as registry:
            found = registry.get(kind)
        if inspect.isclass(found):
            lines, first = inspect.getsourcelines(found)
            sources.append((path, inspect.getsourcefile(found), range(first, first + len(lines))))
    for file, line in reversed(_PLACE.findall(text)):
        for path, source, lines in sources:
            if file == source and int(line) in lines:
                return path
    return None


def place_of(error: BaseException, worker: str = '') -> str:
    """File and line where an error was raised, with two folders."""
    places = _PLACE.findall(worker)
    if not places:
        places = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    file, line = places[-1]
    return f'{"/".join(Path(file).parts[-3:])}:{line}'
