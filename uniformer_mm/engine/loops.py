"""Iteration-based training that resumes without reading all the data again."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, Sampler

from uniformer_mm.errors import UserError
from uniformer_mm.registry import LOOPS

from .seeds import derive_seed, seed_everything


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop):
    """mmengine's loop, which resumes at any iteration within seconds.

    To resume, mmengine loads the batches of all past iterations again and throws them away, so
    that the data workers draw the random numbers that they would have drawn: at iteration 150,000
    this takes hours. Here the random numbers of a batch are derived from the seed, the iteration
    and the rank, so past batches are skipped by their indices and nothing is loaded. The batches
    do not depend on the number of data workers.

    Args:
        runner: The runner.
        dataloader: The loader, or the dict to build it from.
        *args: Other arguments of mmengine's loop.
        **kwargs: The same by name.

    Raises:
        UserError: If the data set has fewer samples than a batch, with ``drop_last``.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, *args, **kwargs) -> None:
        if isinstance(dataloader, dict):
            own_seeds = runner._randomness_cfg.get('diff_rank_seed', False)
            dataloader = runner.build_dataloader(dataloader, runner.seed, own_seeds)
        super().__init__(runner, _SeededLoader(dataloader, runner), *args, **kwargs)

    def run(self) -> None:
        """Train from the current iteration on."""
        # mmengine takes one batch for each past iteration: they are empty.
        skipped = itertools.repeat(None, self.iter)
        self.dataloader_iterator = itertools.chain(skipped, self.dataloader.batches(self.iter))
        return super().run()


class _SeededLoader(DataLoader):
    """A copy of a loader, with the random numbers of each batch derived from its number."""

    def __init__(self, loader: DataLoader, runner: Runner) -> None:
        vars(self).update(vars(loader))
        self._loader = loader
        self._seeds = (runner.seed, runner.rank)

    def __iter__(self) -> Iterator[Any]:
        return self.batches()

    def batches(self, first: int = 0) -> Iterator[Any]:
        """All batches from this number on, without end; workers start when one is asked for."""
        loader = copy.copy(self._loader)
        vars(loader).update(  # torch forbids to assign them
            dataset=_SeededDataset(self.dataset, *self._seeds),
            batch_sampler=_NumberedBatches(self.batch_sampler, first),
        )
        yield from loader


class _Batch(list):
    """Indices of the samples of a batch, and its number."""

    number: int


class _NumberedBatches(Sampler):
    """The batches of all passes over the data, without the first ones."""

    def __init__(self, batches: Sampler, first: int) -> None:
        self.batches = batches
        self.first = first

    def __iter__(self) -> Iterator[_Batch]:
        number = itertools.count()
        sampler = getattr(self.batches, 'sampler', None)
        for epoch in itertools.count():
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            indices = None
            for indices in self.batches:
                batch = _Batch(indices)
                batch.number = next(number)
                if batch.number >= self.first:
                    yield batch
            if indices is None:
                raise UserError(
                    'train_dataloader: the data set has not enough samples for one batch. Lower '
                    'batch_size, or set drop_last=False.'
                )


class _SeededDataset(Dataset):
    """A data set that derives all random numbers of a batch from its number."""

    def __init__(self, dataset: Dataset, seed: int, rank: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.rank = rank

    def __getitems__(self, batch: _Batch) -> list[Any]:
        """The samples of a batch; torch's loaders call it, in the worker."""
        # The last number sets them apart from those of the training process.
        seed_everything(derive_seed(self.seed, batch.number, self.rank, 1))
        return [self.dataset[index] for index in batch]
