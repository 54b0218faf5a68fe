"""Warn of parts of a recipe that were left behind by a change of others."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from uniformer_mm.registry import HOOKS

# Shares of a run. The schedules of the papers end at 0.83 to 1.00, their warm-ups at 0.25.
_EARLIEST_END, _LATEST_END = 0.75, 1.05
_LONGEST_WARMUP = 0.5
_OTHER_BATCH = 2  # times as large, or as small


@HOOKS.register_module()
class RecipeCheckHook(Hook):
    """Compare the schedule with the length of the run, and the batch with the learning rate's.

    A config that inherits a recipe and sets ``max_epochs`` or ``batch_size`` alone keeps the
    warm-up and the milestones of hundreds of epochs, and the learning rate of a thousand images a
    step. Such a run trains badly without an error. Each gives one warning, which says what to set.
    """

    def before_train(self, runner: Runner) -> None:
        """Look at the config now that the length of the run is known."""
        for warning in (schedule_warning(runner), batch_warning(runner)):
            if warning:
                runner.logger.warning(warning)


def schedule_warning(runner: Runner) -> str | None:
    """What to set in ``param_scheduler``, if it is that of a run of another length."""
    described = runner.cfg.get('param_scheduler') or []
    single = isinstance(described, dict)
    has_epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
    misfits, ends = [], []
    for number, entry in enumerate([described] if single else described):
        in_epochs = entry.get('by_epoch', True)
        if in_epochs and not has_epochs:
            continue  # never stepped
        length = runner.max_epochs if in_epochs else runner.max_iters
        key = 'param_scheduler' if single else f'param_scheduler.{number}'
        misfits += [f'{key}.{text}' for text in _misfits(entry, length)]
        if end := _end_of(entry):
            ends.append(end / length)
    if not misfits and ends and max(ends) < _EARLIEST_END:
        misfits = [f'it is over after {max(ends):.0%} of the run']
    if not misfits:
        return None
    length = f'{runner.max_epochs} epochs' if has_epochs else f'{runner.max_iters} iterations'
    whole = '' if single else ' (a list is written whole)'
    return (
        f'This run has {length}, and the schedule is that of another run: {"; ".join(misfits)}. '
        f'Set param_scheduler for the length of this one{whole}.'
    )


def _is_warmup(entry: dict) -> bool:
    kind = entry['type'].rpartition('.')[2]
    rises = entry.get('start_factor', 1 / 3) < entry.get('end_factor', 1)
    return kind == 'ConstantLR' or (kind == 'LinearLR' and rises)


def _end_of(entry: dict) -> float | None:
    """Where the descent of a schedule is over, if it says so."""
    if _is_warmup(entry):
        return None
    if 'T_max' in entry:
        return entry.get('begin', 0) + entry['T_max']
    return entry.get('end')


def _misfits(entry: dict, length: int) -> Iterator[str]:
    """What of a schedule is too long for a run, and what would fit."""
    tenth, end = max(length // 10, 1), _end_of(entry)
    if _is_warmup(entry):
        if entry.get('end', 0) - entry.get('begin', 0) - 1 > length * _LONGEST_WARMUP:
            yield f'end={entry["end"]} of a warm-up, for example {tenth}'
    elif entry.get('warmup', 0) > length * _LONGEST_WARMUP:
        yield f'warmup={entry["warmup"]}, for example {tenth}'
    if end is not None and end > length * _LATEST_END:
        yield f'{"T_max" if "T_max" in entry else "end"}={end}, for example {length}'
    late = [step for step in entry.get('milestones', ()) if step >= length]
    if late:
        share = length / (end or max(late) / 0.9)
        steps = (min(round(step * share), length - 1) for step in entry['milestones'])
        fitting = sorted({max(step, 1) for step in steps})
        yield f'milestones={list(entry["milestones"])}, for example {fitting}'


def batch_warning(runner: Runner) -> str | None:
    """What to do about a learning rate that is meant for another batch."""
    scaling = runner.cfg.get('auto_scale_lr') or {}
    expected = scaling.get('base_batch_size')
    per_process = (runner.cfg.get('train_dataloader') or {}).get('batch_size')
    rate = (runner.cfg.get('optim_wrapper') or {}).get('optimizer', {}).get('lr')
    if scaling.get('enable') or not (expected and per_process and rate):
        return None
    size = per_process * runner.world_size
    if expected / _OTHER_BATCH < size < expected * _OTHER_BATCH:
        return None
    return (
        f'A step has {size} samples, and optim_wrapper.optimizer.lr={rate:g} is for {expected} '
        f'(auto_scale_lr.base_batch_size): add --auto-scale-lr, which makes it '
        f'{rate * size / expected:g}, or, if it is the rate for {size}, set '
        f'auto_scale_lr=dict(base_batch_size={size}).'
    )
