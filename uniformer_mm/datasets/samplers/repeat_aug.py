"""Repeated augmentation with the epoch length of the authors' ImageNet runs."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from uniformer_mm.arguments import COUNT, check
from uniformer_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class DeiTRepeatAugSampler(Sampler[int]):
    """Repeated augmentation exactly as DeiT has it (Touvron et al., ICML 2021).

    All images are shuffled, each is queued ``num_repeats`` times in a row, the queue is dealt out
    to the ranks in turn, and every rank stops early: an epoch shows about as many samples as there
    are images, but only one image in ``num_repeats``. mmpretrain's ``RepeatAugSampler`` stops after
    ``ceil(N / ranks)`` samples; DeiT first rounds N down to a multiple of 256, so that ImageNet's
    1,281,167 images give each of 8 GPUs 160,128 samples, which are 1,251 steps of 128.

    Args:
        dataset (Sized): The dataset.
        num_repeats (int): Copies of every image. Defaults to 3.
        round_to (int): N is rounded down to a multiple of this. Defaults to 256.
        seed (int, optional): Epoch e is shuffled with ``seed + e``, the same on every rank. None
            draws one seed for all ranks. Defaults to 0, as in DeiT; mmengine's runner passes its
            own seed where the config has none.

    Raises:
        ValueError: If the dataset is too small to give every rank a sample, or a number is not a
            positive integer.
    """

    def __init__(
        self, dataset: Sized, num_repeats: int = 3, round_to: int = 256, seed: int | None = 0
    ) -> None:
        check(COUNT, num_repeats=num_repeats, round_to=round_to)
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.num_repeats = num_repeats
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.num_samples = len(dataset) // round_to * round_to // self.world_size
        if self.num_samples == 0:
            raise ValueError(
                f'{len(dataset)} images, rounded down to a multiple of round_to={round_to}, leave '
                f'no sample for each of {self.world_size} processes: set a smaller round_to in '
                'the sampler of train_dataloader'
            )

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        queue = torch.randperm(len(self.dataset), generator=generator)
        queue = queue.repeat_interleave(self.num_repeats)
        return iter(queue[self.rank :: self.world_size][: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Called by mmengine's ``DistSamplerSeedHook`` before every epoch."""
        self.epoch = epoch
