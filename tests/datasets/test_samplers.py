"""Repeated augmentation as in DeiT."""

from collections import Counter

import pytest
import torch
from mmengine.registry import DATA_SAMPLERS

from uniformer_mm.datasets import DeiTRepeatAugSampler
from uniformer_mm.datasets.samplers import repeat_aug


def on_rank(monkeypatch, rank: int, world: int, size: int, **kwargs) -> DeiTRepeatAugSampler:
    monkeypatch.setattr(repeat_aug, 'get_dist_info', lambda: (rank, world))
    return DeiTRepeatAugSampler(range(size), **kwargs)


def test_imagenet_epoch_has_1251_steps(monkeypatch) -> None:
    assert len(on_rank(monkeypatch, 0, 8, 1_281_167)) == 160_128 == 1251 * 128


@pytest.mark.parametrize(
    ('size', 'world', 'expected'), [(1000, 3, 256), (256, 1, 256), (511, 2, 128)]
)
def test_length_is_what_it_yields(monkeypatch, size: int, world: int, expected: int) -> None:
    sampler = on_rank(monkeypatch, world - 1, world, size)
    assert len(sampler) == len(list(sampler)) == expected


def shuffled(size: int, seed: int) -> list[int]:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed)).tolist()


def test_ranks_share_the_copies_of_one_shuffled_list(monkeypatch) -> None:
    """Three ranks and three repeats: each rank gets every image of the head of the list once."""
    for rank in range(3):
        assert list(on_rank(monkeypatch, rank, 3, 768)) == shuffled(768, 0)[:256]
    seen = Counter(on_rank(monkeypatch, 0, 1, 768))
    assert set(seen.values()) == {3}, 'alone it sees a third of the images three times'
    assert len(seen) == 256


def test_epoch_is_the_shuffle_seed(monkeypatch) -> None:
    sampler = on_rank(monkeypatch, 0, 1, 512, num_repeats=1)
    assert list(sampler) == list(sampler) == shuffled(512, 0)
    sampler.set_epoch(7)
    assert list(sampler) == shuffled(512, 7)
    assert list(on_rank(monkeypatch, 0, 1, 512, num_repeats=1, seed=7)) == shuffled(512, 7)
    config = dict(type='uniformer_mm.DeiTRepeatAugSampler', dataset=range(300), seed=None)
    assert isinstance(DATA_SAMPLERS.build(config).seed, int)


def test_too_small_a_dataset_is_refused_with_the_remedy(monkeypatch) -> None:
    with pytest.raises(ValueError, match='255 images.*round_to=256.*set a smaller round_to'):
        on_rank(monkeypatch, 0, 1, 255)
    assert len(on_rank(monkeypatch, 0, 1, 255, round_to=64)) == 192
