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
    sampler = on_rank(monkeypatch, 0, 8, 1_281_167)
    assert len(sampler) == 160_128
    assert len(sampler) // 128 == 1251


@pytest.mark.parametrize(
    ('size', 'world', 'expected'), [(1000, 3, 256), (256, 1, 256), (511, 2, 128)]
)
def test_length_is_what_it_yields(monkeypatch, size: int, world: int, expected: int) -> None:
    sampler = on_rank(monkeypatch, world - 1, world, size)
    assert len(sampler) == len(list(sampler)) == expected


def test_ranks_share_the_copies_of_one_shuffled_list(monkeypatch) -> None:
    """Three ranks and three repeats: each rank gets every image of the head of the list once."""
    ranks = [list(on_rank(monkeypatch, rank, 3, 768)) for rank in range(3)]
    assert ranks[0] == ranks[1] == ranks[2]
    assert len(set(ranks[0])) == 256
    order = torch.randperm(768, generator=torch.Generator().manual_seed(0)).tolist()
    assert ranks[0] == order[:256]


def test_one_rank_sees_a_third_of_the_images_three_times(monkeypatch) -> None:
    seen = Counter(on_rank(monkeypatch, 0, 1, 768))
    assert set(seen.values()) == {3}
    assert len(seen) == 256


def test_epoch_is_the_shuffle_seed(monkeypatch) -> None:
    sampler = on_rank(monkeypatch, 0, 1, 512, num_repeats=1)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(7)
    assert list(sampler) != first
    order = torch.randperm(512, generator=torch.Generator().manual_seed(7)).tolist()
    assert list(sampler) == order
    assert list(on_rank(monkeypatch, 0, 1, 512, num_repeats=1, seed=7)) == order


def test_too_small_a_dataset_is_refused_with_the_remedy(monkeypatch) -> None:
    with pytest.raises(ValueError, match='255 images.*round_to=256.*set a smaller round_to'):
        on_rank(monkeypatch, 0, 1, 255)
    assert len(on_rank(monkeypatch, 0, 1, 255, round_to=64)) == 192


def test_registered() -> None:
    sampler = DATA_SAMPLERS.build(
        dict(type='uniformer_mm.DeiTRepeatAugSampler', dataset=range(300), seed=None)
    )
    assert isinstance(sampler.seed, int)
