"""EpochSeedHook and FiniteLossHook on their own; tests/tools runs them in real training."""

import random
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import worker_init_fn
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader, Dataset

from uniformer_mm.engine import EpochSeedHook, FiniteLossHook
from uniformer_mm.errors import UserError


class Numbers(Dataset):
    """Each item is three fresh random numbers."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])


def make_runner(loop=EpochBasedTrainLoop, seed=0, rank=0, workers=0, **kwargs) -> SimpleNamespace:
    init = partial(worker_init_fn, num_workers=workers, rank=rank, seed=seed)
    loader = DataLoader(Numbers(), num_workers=workers, worker_init_fn=init, **kwargs)
    return SimpleNamespace(
        train_dataloader=loader,
        train_loop=loop.__new__(loop),
        seed=seed,
        rank=rank,
        epoch=0,
        iter=0,
        work_dir='work_dir',
    )


def epoch(runner, number: int) -> torch.Tensor:
    runner.epoch = number
    EpochSeedHook().before_train_epoch(runner)
    return torch.stack(list(runner.train_dataloader))


@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_is_the_same_in_a_run_that_starts_there(workers):
    whole = make_runner(workers=workers)
    first, second = epoch(whole, 0), epoch(whole, 1)
    resumed = epoch(make_runner(workers=workers), 1)
    assert torch.equal(resumed, second)
    assert not torch.isclose(first, second).any()


@pytest.mark.parametrize('other', [{'seed': 1}, {'rank': 1}])
def test_seeds_and_ranks_differ(other):
    a, b = epoch(make_runner(workers=1), 0), epoch(make_runner(workers=1, **other), 0)
    assert not torch.isclose(a, b).any()


def test_iterations_are_seeded_when_there_are_no_epochs():
    runner = make_runner(IterBasedTrainLoop)
    draws = []
    for iteration in (3, 4, 3):
        hook = EpochSeedHook()
        hook.before_train_epoch(runner)
        runner.iter = iteration
        hook.before_train_iter(runner)
        draws.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert draws[0] == draws[2]
    assert draws[0] != draws[1]


def test_persistent_workers_cannot_be_seeded():
    with pytest.raises(UserError, match='persistent_workers=False'):
        epoch(make_runner(workers=1, persistent_workers=True), 0)


def test_a_users_worker_init_fn_is_kept():
    runner = make_runner()
    runner.train_dataloader.worker_init_fn = print
    EpochSeedHook().before_train_epoch(runner)
    assert runner.train_dataloader.worker_init_fn is print


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_broken_loss_stops_the_run(value):
    runner = make_runner()
    runner.epoch, runner.iter = 2, 41
    outputs = {'loss': torch.tensor(value), 'loss_cls': torch.tensor(value), 'acc': 1}
    with pytest.raises(FloatingPointError, match=r'epoch 3, iteration 42 \(loss=.*, loss_cls='):
        FiniteLossHook().after_train_iter(runner, 0, outputs=outputs)
    FiniteLossHook().after_train_iter(runner, 0, outputs={'loss': torch.tensor(1.0)})
