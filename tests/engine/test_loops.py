"""The loop of iteration-based training on its own; tests/tools resumes real runs with it."""

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader, Dataset

from uniformer_mm.engine import ResumableIterBasedTrainLoop
from uniformer_mm.errors import UserError


class Numbers(Dataset):
    """Each item is its index and three fresh random numbers."""

    metainfo = {}
    loaded = 0

    def __init__(self, length: int = 10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.loaded += 1
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()])


class RecordingRunner(SimpleNamespace):
    """Runs no hooks; its model keeps the batches."""

    seed, rank, val_loop = 3, 0, None
    call_hook = staticmethod(lambda *args, **kwargs: None)

    def train_step(self, batch, optim_wrapper):
        self.batches.append(batch)


def train(first: int, last: int, dataset=None, sampler=InfiniteSampler, workers=0, **runner):
    """The batches of these iterations, as a run that starts or resumes there gets them."""
    runner = RecordingRunner(visualizer=SimpleNamespace(), optim_wrapper=None, batches=[], **runner)
    runner.model = SimpleNamespace(train=lambda: None, train_step=runner.train_step)
    dataset = dataset or Numbers()
    loader = DataLoader(
        dataset, 4, sampler=sampler(dataset, seed=0), num_workers=workers, drop_last=True
    )
    loop = ResumableIterBasedTrainLoop(runner, loader, max_iters=last)
    loop._iter = first  # as the Runner does when it resumes
    loop.run()
    return runner.batches


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_a_resumed_run_gets_the_batches_of_the_whole_one(sampler):
    whole = train(0, 9, sampler=sampler)
    for workers in (0, 2):
        resumed = train(5, 9, sampler=sampler, workers=workers)
        assert len(resumed) == 4
        assert all(map(torch.equal, resumed, whole[5:]))
    # Neighbouring batches and other ranks draw other numbers.
    other = train(0, 9, sampler=sampler, rank=1)
    for one, two in (*itertools.pairwise(whole), *zip(whole, other, strict=True)):
        assert not torch.isclose(one[:, 1:], two[:, 1:]).any()


def test_nothing_is_loaded_for_past_iterations():
    dataset = Numbers(20_210)  # as many as ADE20K has images
    assert len(train(150_000, 150_001, dataset)) == 1
    assert dataset.loaded == 4


def test_a_batch_larger_than_the_data_set_ends_the_run():
    with pytest.raises(UserError, match='not enough samples for one batch'):
        train(0, 1, Numbers(3), DefaultSampler)
