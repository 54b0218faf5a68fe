"""The data sets that a run is going to use."""

from collections.abc import Iterator
from typing import Any

from mmengine.runner import BaseLoop, Runner


def datasets_of(runner: Runner) -> Iterator[Any]:
    """The data sets of this run, and those inside wrappers such as RepeatDataset."""
    for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
        if isinstance(loop, BaseLoop):  # part of this run
            yield from _unwrap(loop.dataloader.dataset)


def _unwrap(dataset: Any) -> Iterator[Any]:
    yield dataset
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', [])
    for child in inner:
        yield from _unwrap(child)
