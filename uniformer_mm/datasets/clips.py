"""Data sets of videos and raw frames: repeated augmentation, and files that cannot be read.

This module imports mmaction2, so ``import uniformer_mm`` does not import it; the registry does as
soon as a config asks for one of its types.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import torch
from mmaction.datasets import RawframeDataset, VideoDataset
from mmengine.dataset import Compose
from mmengine.logging import print_log

from uniformer_mm.arguments import COUNT, NATURAL, check, check_choice
from uniformer_mm.errors import UserError
from uniformer_mm.registry import DATASETS


class _ReadErrors:
    """Mixin for mmaction2's data sets that says what happens to a file that cannot be read.

    The pipeline must start with the transforms that open a video, sample and decode frames; an
    error in one of these means that the file cannot be read. ``unreadable`` marks such samples, in
    memory that all data workers share, so that ``VideoDataHook`` can report them.

    Args:
        on_error (str): ``'raise'`` stops with the name of the file. ``'skip'`` warns and takes
            another random sample in training; in a test, where none may be missing, it takes a
            black clip, which counts as a mistake but for luck. Defaults to ``'raise'``.
        max_refetch (int): Samples in a row that training may skip before it stops. Defaults to 20.
    """

    BLACK_SIDE = 256

    def __init__(
        self, *args: Any, on_error: str = 'raise', max_refetch: int = 20, **kwargs: Any
    ) -> None:
        check_choice('on_error', on_error, ('raise', 'skip'))
        check(NATURAL, max_refetch=max_refetch)
        self.on_error = on_error
        self._skipped_in_a_row = 0
        super().__init__(*args, max_refetch=max_refetch, **kwargs)

    def load_data_list(self) -> list[dict]:
        try:
            data_list = super().load_data_list()
        except (AssertionError, IndexError, ValueError) as error:
            raise UserError(
                f'{self.ann_file} has a line in another format ({error}); docs/data.md shows the '
                'columns. Names with spaces need delimiter=",".'
            ) from error
        if not data_list:
            raise UserError(f'{self.ann_file} lists no video.')
        return data_list

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        super().full_init()
        self.unreadable = torch.zeros(len(self), dtype=torch.uint8).share_memory_()
        self.split_pipeline()  # it decodes something

    def split_pipeline(self) -> tuple[Compose, Compose]:
        """The steps up to the decoder and those behind it, of the pipeline that is set now.

        Raises:
            ValueError: If it has no decoder.
        """
        steps = self.pipeline.transforms
        names = [type(step).__name__ for step in steps]
        decoders = [number for number, name in enumerate(names) if 'Decode' in name]
        if not decoders:
            raise ValueError(f'the pipeline decodes nothing: {", ".join(names)}')
        # Copies, since tools set pipelines that note what each step did.
        reading, augmentation = copy.copy(self.pipeline), copy.copy(self.pipeline)
        reading.transforms = steps[: decoders[0] + 1]
        augmentation.transforms = steps[decoders[0] + 1 :]
        return reading, augmentation

    def path_of(self, index: int) -> str:
        """File of a video, or folder of its frames."""
        info = self.get_data_info(index)
        return info.get('filename') or info['frame_dir']

    def read(self, index: int) -> dict | None:
        """A sample with its decoded frames, None if it is to be skipped.

        Raises:
            UserError: If it cannot be read, and ``on_error`` is ``'raise'`` or too many before it
                were skipped.
        """
        reading, _ = self.split_pipeline()
        try:
            data = reading(self.get_data_info(index))
            if any(frame is None for frame in data['imgs']):  # how OpenCV reports a broken image
                raise ValueError('a frame is no image')
        except Exception as error:  # every decoder has exceptions of its own
            message = f'{self.path_of(index)} cannot be read: {type(error).__name__}: {error}'
            if self.on_error == 'raise':
                raise UserError(
                    f"{message}. Take it out of {self.ann_file}, or set on_error='skip' in the "
                    'data set.'
                ) from error
            if not self.unreadable[index]:
                print_log(f'Skipped: {message}', logger='current', level=logging.WARNING)
            self.unreadable[index] = 1
            if self.test_mode:
                return self._black(index)
            self._skipped_in_a_row += 1
            if self._skipped_in_a_row > self.max_refetch:
                raise UserError(
                    f'{self._skipped_in_a_row} samples of {self.ann_file} in a row could not be '
                    'read; the log names the files.'
                ) from error
            return None
        self._skipped_in_a_row = 0
        return data

    def _black(self, index: int) -> dict:
        """A sample of black frames."""
        data = self.get_data_info(index)
        data['total_frames'] = max(data.get('total_frames', 1), 1)  # a list may say 0
        for transform in self.split_pipeline()[0].transforms:
            if 'Sample' in type(transform).__name__:
                data = transform(data)
        shape = (self.BLACK_SIDE, self.BLACK_SIDE)
        data['imgs'] = [np.zeros((*shape, 3), np.uint8) for _ in data['frame_inds']]
        data['original_shape'] = data['img_shape'] = shape
        return data

    def augment(self, data: dict) -> dict:
        """Run the rest of the pipeline, which may write into the frames."""
        _, augmentation = self.split_pipeline()
        return augmentation(data)

    def prepare_data(self, index: int) -> dict | None:
        data = self.read(index)
        return None if data is None else self.augment(data)


class _RepeatAug(_ReadErrors):
    """Mixin that augments what was read once several times.

    The frames of a sample are chosen and decoded once; everything after the decoder runs
    ``num_repeats`` times on a copy. The loader needs
    ``collate_fn=dict(type='repeat_pseudo_collate')``, which puts the copies next to each other: a
    batch of B videos holds B * num_repeats clips.

    Args:
        num_repeats (int, optional): Clips of one video in a batch. None gives single samples that
            are no list, for tools that show them. Defaults to 2.
    """

    def __init__(self, *args: Any, num_repeats: int | None = 2, **kwargs: Any) -> None:
        if num_repeats is not None:
            check(COUNT, num_repeats=num_repeats)
        self.num_repeats = num_repeats
        super().__init__(*args, **kwargs)

    def prepare_data(self, index: int) -> dict | list[dict] | None:
        if self.num_repeats is None:
            return super().prepare_data(index)
        data = self.read(index)
        if data is None:
            return None
        copies = [
            {**data, 'imgs': [frame.copy() for frame in data['imgs']]}
            for _ in range(self.num_repeats - 1)
        ]
        return [self.augment(sample) for sample in (*copies, data)]


@DATASETS.register_module()
class ReportingVideoDataset(_ReadErrors, VideoDataset):
    """mmaction2's ``VideoDataset`` that names, or skips and counts, files that cannot be read.

    Args:
        on_error (str): ``'raise'`` or ``'skip'``. Defaults to ``'raise'``.
        max_refetch (int): Samples in a row that training may skip. Defaults to 20.
        *args, **kwargs: Those of ``VideoDataset``.

    Raises:
        UserError: At a file that cannot be read, unless such files are skipped.
    """


@DATASETS.register_module()
class ReportingRawframeDataset(_ReadErrors, RawframeDataset):
    """mmaction2's ``RawframeDataset``, with the arguments of :class:`ReportingVideoDataset`."""


@DATASETS.register_module()
class RepeatAugVideoDataset(_RepeatAug, VideoDataset):
    """Repeated augmentation of videos with any decoder.

    mmaction2's ``RepeatAugDataset`` with ``sample_once=True`` does the same for decord alone. The
    loader needs ``collate_fn=dict(type='repeat_pseudo_collate')``.

    Args:
        num_repeats (int, optional): Clips of one video in a batch, or None. Defaults to 2.
        *args, **kwargs: Those of :class:`ReportingVideoDataset`.
    """


@DATASETS.register_module()
class RepeatAugRawframeDataset(_RepeatAug, RawframeDataset):
    """:class:`RepeatAugVideoDataset` for raw frames, with the arguments of ``RawframeDataset``."""
