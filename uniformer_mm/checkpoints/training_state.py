"""What a training file has beside the weights, compared with the run that is to go on from it.

MMEngine's Runner takes all of it over unseen, into the optimizer, the schedules and the hooks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from uniformer_mm.errors import CheckpointError

from .integrity import check_values
from .names import Differences

_LARGEST = 2**63
# What optimizers of PyTorch keep for each parameter in its shape.
_LIKE_PARAMETERS = ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq', 'momentum_buffer')


def check_meta(meta: Any, source: str) -> None:
    """See that a file says how far its training was, and with which seed.

    Raises:
        CheckpointError: If nothing can be resumed from it.
    """
    if not isinstance(meta, Mapping) or not {'epoch', 'iter'} <= meta.keys():
        raise CheckpointError(
            f'{source} holds weights but no state of a training run, so nothing can be resumed '
            'from it: give it as load_from, without resume.'
        )
    for name in ('epoch', 'iter'):
        _require(_is_count(meta[name]), source, f"meta['{name}'] is no count")
    seed = meta.get('seed')
    _require(seed is None or (_is_count(seed) and seed < 2**32), source, "meta['seed'] is no seed")


def clean_message_hub(hub: Any, folder: Path, source: str) -> None:
    """Check what MMEngine keeps of a run, and take out paths that are none of this run's files.

    ``CheckpointHook`` deletes the file or folder that is named as the previous best.

    Args:
        hub: The entry ``message_hub``; changed in place.
        folder: Where this run's checkpoints are.
        source: Name of the file, for messages.

    Raises:
        CheckpointError: If an entry is of a form that MMEngine does not write.
    """
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        part = hub.get(name) if isinstance(hub, dict) else None
        is_part = isinstance(part, dict) and all(isinstance(key, str) for key in part)
        _require(is_part, source, f"message_hub['{name}'] is no dict of names")
    for name, value in hub['log_scalars'].items():
        is_empty = isinstance(value, HistoryBuffer) and not len(value.data[0])
        _require(not is_empty, source, f"the log of '{name}' is empty")
    info, resumed = hub['runtime_info'], hub['resumed_keys']
    for name, value in resumed.items():
        is_kept = name in info or name in hub['log_scalars']
        _require(
            value is True or (value is False and not is_kept), source, f'{name} is not resumed'
        )
    ids = info.get('keep_ckpt_ids', [])
    is_ids = isinstance(ids, list) and all(map(_is_count, ids))
    _require(is_ids, source, 'keep_ckpt_ids is no list of counts')
    for name in list(info):
        if name.startswith('best_score'):
            _require(_is_number(info[name]), source, f'{name} is no finite number')
        elif name.startswith('best_ckpt') and info[name] is not None:
            _require(isinstance(info[name], str), source, f'{name} is no path')
            own = folder / Path(info[name]).name
            if own.name.startswith('best_') and own.is_file():
                info[name] = str(own)
            else:
                print_log(f'{info.pop(name)} is left alone: no file of {folder}.', 'current')
                resumed.pop(name, None)


def check_optimizer(found: Any, own: OptimWrapper | OptimWrapperDict, source: str) -> None:
    """Compare the state of the optimizer with the one that is to take it over.

    Args:
        found: The entry ``optimizer``.
        own: The run's own.
        source: Name of the file, for messages.

    Raises:
        CheckpointError: If it is of another optimizer or model, or holds numbers that are not
            finite.
    """
    if isinstance(own, OptimWrapperDict):
        wrappers = dict(own.items())
        fits = isinstance(found, Mapping) and found.keys() == wrappers.keys()
        _require(fits, source, 'it has other optimizers than the config')
        for name, wrapper in wrappers.items():
            check_optimizer(found[name], wrapper, source)
        return
    optimizer = own.optimizer
    groups = found.get('param_groups') if isinstance(found, Mapping) else None
    sizes = [len(group['params']) for group in optimizer.param_groups]
    is_groups = isinstance(groups, list) and all(
        isinstance(group, dict) and isinstance(group.get('params'), list) for group in groups
    )
    _require(
        is_groups and [len(group['params']) for group in groups] == sizes,
        source,
        'its optimizer is that of another model, or of another optim_wrapper',
    )
    for group, own_group in zip(groups, optimizer.param_groups, strict=True):
        for name, value in own_group.items():
            if name != 'params':
                # PyTorch adds switches that an older version did not have.
                fits = _fits(group[name], value) if name in group else _is_switch(value)
                _require(fits, source, f'{name} of its optimizer is not as in the config')
    scaler = getattr(own, 'loss_scaler', None)
    for name, value in (
        ('loss_scaler', scaler and scaler.state_dict()),
        ('base_param_settings', own.base_param_settings),
    ):
        fits = value is None or name not in found or _fits(found[name], value)
        _require(fits, source, f'{name} of its optimizer is not as in the config')

    parameters = [p for group in optimizer.param_groups for p in group['params']]
    ids = [number for group in groups for number in group['params']]
    states = found.get('state')
    is_states = isinstance(states, dict) and all(isinstance(s, dict) for s in states.values())
    is_ids = all(map(_is_count, ids)) and len(set(ids)) == len(ids)
    fits = is_states and is_ids and states.keys() <= set(ids)
    _require(fits, source, 'the state of its optimizer is of other parameters')
    names: dict[bool, set[str]] = {}
    for number, parameter in zip(ids, parameters, strict=True):
        state = states.get(number)
        if state is None:  # as of a parameter that had no gradient
            continue
        # Adafactor has other entries for matrices than for vectors.
        fits = names.setdefault(parameter.ndim > 1, state.keys()) == state.keys()
        _require(fits, source, 'the state of its optimizer is incomplete')
        for name, value in state.items():
            if name == 'step':
                fits = _is_number(value) and value >= 0
            elif name in _LIKE_PARAMETERS and not (name == 'momentum_buffer' and value is None):
                fits = isinstance(value, Tensor) and value.is_floating_point()
                fits = fits and value.shape == parameter.shape
            else:
                fits = not isinstance(value, str | bytes)
            _require(fits, source, f'{name} of its optimizer is that of another model')
            if isinstance(value, Tensor) and value.is_floating_point():
                fault = f'{name} of its optimizer has numbers that are not finite'
                _require(bool(value.isfinite().all()), source, fault)


def check_schedules(found: Any, own: list | dict, source: str) -> None:
    """Compare the states of schedules with those of the run, of which MMEngine zips as many as fit.

    Args:
        found: The entry ``param_schedulers``.
        own: The run's own.
        source: Name of the file, for messages.

    Raises:
        CheckpointError: If they are of other schedules.
    """
    if isinstance(own, dict):
        fits = isinstance(found, Mapping) and found.keys() == own.keys()
        _require(fits, source, 'it has the schedules of other optimizers than the config')
        for name, schedules in own.items():
            check_schedules(found[name], schedules, source)
        return
    fits = isinstance(found, list) and len(found) == len(own)
    _require(fits, source, f'param_scheduler of the config is not as in the file ({len(own)} here)')
    for state, schedule in zip(found, own, strict=True):
        mine = schedule.state_dict()
        kind = type(schedule).__name__
        fits = isinstance(state, dict) and state.keys() == mine.keys()
        _require(fits, source, f'its schedule is no {kind} as in the config')
        for name, value in mine.items():
            fits = _fits(state[name], value)
            if name.endswith('_step'):
                fits = fits and isinstance(state[name], int)
            _require(fits, source, f'{name} of its {kind} is not as in the config')


def check_averaged(found: Any, state: Mapping[str, Tensor], source: str) -> None:
    """Compare the entry ``ema_state_dict`` with the weights that it is swapped with.

    Args:
        found: The entry.
        state: The weights, as the model has them.
        source: Name of the file, for messages.

    Raises:
        CheckpointError: If other weights are averaged, or their values cannot be right.
    """
    is_state = isinstance(found, dict) and all(isinstance(v, Tensor) for v in found.values())
    _require(is_state, source, 'its ema_state_dict holds no weights')
    steps = found.get('steps')
    is_count = isinstance(steps, Tensor) and steps.numel() == 1 and steps.dtype == torch.long
    _require(is_count and steps.item() >= 0, source, 'its ema_state_dict has no count of steps')
    weights = {k.removeprefix('module.'): v for k, v in found.items() if k.startswith('module.')}
    if differences := Differences.between(state, weights):
        raise CheckpointError(
            f'{source} cannot be resumed: ema_state_dict is of other weights than state_dict.\n'
            f'{differences.describe()}'
        )
    check_values(weights, state, f'{source} (ema_state_dict)')


def _require(condition: bool, source: str, fault: str) -> None:
    if not condition:
        raise CheckpointError(
            f'{source} cannot be resumed: {fault}. Resume from another checkpoint of the run with '
            'its own config, or give this one as load_from, without resume.'
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        value = value.item() if value.numel() == 1 else None
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)


def _is_switch(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _fits(found: Any, own: Any) -> bool:
    """Whether a value of the file can take the place of the run's own: of one kind, and finite."""
    if own is None:
        return _is_switch(found) or isinstance(found, str) or _is_number(found)
    if isinstance(own, bool):
        return _is_switch(found)
    if _is_number(own):
        return _is_number(found) and bool(found >= 0 or own < 0)
    if isinstance(own, Real):  # the best loss before the first
        return isinstance(found, Real) and not math.isnan(found)
    if isinstance(own, Mapping):
        names = own.keys() if isinstance(found, Mapping) else ()
        fit = (_fits(found[n], own[n]) if n in found else _is_switch(own[n]) for n in names)
        return isinstance(found, Mapping) and all(fit)
    if isinstance(own, list | tuple):
        is_same = isinstance(found, list | tuple) and len(found) == len(own)
        return is_same and all(map(_fits, found, own))
    return type(found) is type(own)
