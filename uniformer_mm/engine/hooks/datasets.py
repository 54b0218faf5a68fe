"""The data sets that a run is going to use."""

from collections.abc import Iterator
from typing import Any

from mmengine.runner import BaseLoop, Runner


def loops_of(runner: Runner) -> Iterator[tuple[str, BaseLoop]]:
    """The loops of this run by their names: train, val, test."""
    for split in ('train', 'val', 'test'):
        loop = getattr(runner, f'_{split}_loop')
        if isinstance(loop, BaseLoop):  # part of this run
            yield split, loop


def datasets_of(runner: Runner) -> Iterator[Any]:
    """The data sets of this run, and those inside wrappers such as RepeatDataset."""
    for _, loop in loops_of(runner):
        yield from with_inner(loop.dataloader.dataset)


def with_inner(dataset: Any) -> Iterator[Any]:
    """A data set, and those that it wraps."""
    yield dataset
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', [])
    for child in inner:
        yield from with_inner(child)


def steps_of(pipeline: Any) -> Iterator[Any]:
    """The steps of a pipeline, and those inside steps such as TestTimeAug."""
    inner = getattr(pipeline, 'transforms', None) or getattr(pipeline, 'subroutines', ())
    for step in inner if isinstance(inner, list | tuple) else [inner]:
        yield step
        yield from steps_of(step)
