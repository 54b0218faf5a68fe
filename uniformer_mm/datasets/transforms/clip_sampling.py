"""Which frames of a video become a clip, where mmaction2 has another rule."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from mmcv.transforms import BaseTransform

from uniformer_mm.arguments import COUNT, check, check_flags
from uniformer_mm.registry import TRANSFORMS


class _ClipSampler(BaseTransform):
    """Choose the frames of ``num_clips`` clips of one video.

    Required keys: ``total_frames``, ``start_index``. Added keys, as by mmaction2's samplers:
    ``frame_inds`` (num_clips * clip_len,), ``clip_len``, ``frame_interval``, ``num_clips``.
    """

    def __init__(
        self,
        clip_len: int,
        frame_interval: int = 1,
        num_clips: int = 1,
        test_mode: bool = False,
    ) -> None:
        check(COUNT, clip_len=clip_len, frame_interval=frame_interval, num_clips=num_clips)
        check_flags(test_mode=test_mode)
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.num_clips = num_clips
        self.test_mode = test_mode

    @property
    def span(self) -> int:
        """Frames that a clip covers."""
        return self.clip_len * self.frame_interval

    @abstractmethod
    def choose(self, total_frames: int) -> np.ndarray:
        """Zero-based frames, (num_clips, clip_len), of a video of ``total_frames``."""

    def transform(self, results: dict) -> dict:
        total_frames = results['total_frames']
        if total_frames < 1:
            raise ValueError('the video has no frames')
        frames = self.choose(total_frames) + results['start_index']
        results['frame_inds'] = frames.reshape(-1).astype(np.int32)
        results['clip_len'] = self.clip_len
        results['frame_interval'] = self.frame_interval
        results['num_clips'] = self.num_clips
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(clip_len={self.clip_len}, '
            f'frame_interval={self.frame_interval}, num_clips={self.num_clips}, '
            f'test_mode={self.test_mode})'
        )


@TRANSFORMS.register_module()
class DenseClipSample(_ClipSampler):
    """Sample clips of consecutive frames as SlowFast's decoder and UniFormer on it do.

    A clip covers ``clip_len * frame_interval`` frames, and its frames are spread evenly from the
    first to the last of them: 16 frames at interval 4 are 63 / 15 = 4.2 frames apart. Indices are
    rounded down; past the end of a short video its last frame is repeated. The frame rate plays no
    part. mmaction2's ``SampleFrames`` has the exact interval, wraps around and starts elsewhere.

    In training every clip starts anywhere that lets it end inside the video, not necessarily at a
    whole frame. In a test a single clip is the middle one, and several start at equal whole
    distances from frame 0 on.

    Args:
        clip_len (int): Frames of a clip.
        frame_interval (int): Nominal distance between frames. Defaults to 1.
        num_clips (int): Clips per video. Defaults to 1.
        test_mode (bool): Whether the clips are at fixed places. Defaults to False.

    Raises:
        ValueError: If a number is no positive integer, or the video has no frames.
    """

    def choose(self, total_frames: int) -> np.ndarray:
        room = max(total_frames - self.span, 0)
        if not self.test_mode:
            starts = np.random.uniform(0, room, self.num_clips)
        elif self.num_clips == 1:
            starts = np.array([room // 2])
        else:
            starts = np.arange(self.num_clips) * (room // (self.num_clips - 1))
        offsets = np.arange(self.clip_len) * (self.span - 1) / max(self.clip_len - 1, 1)
        return np.minimum(starts[:, None] + offsets, total_frames - 1).astype(int)


@TRANSFORMS.register_module()
class SampleFramesV0(_ClipSampler):
    """Sample clips as mmaction2 before version 1.0 did, on which DualFormer was tested.

    In a test the video is cut into ``num_clips`` equal parts of possible starts and a clip begins
    in the middle of each; version 1 spreads the starts from the first to the last instead.
    Training is that of mmaction2's ``SampleFrames``, which has not changed. Frames are exactly
    ``frame_interval`` apart, and a video that is too short starts again from its first frame.

    Args:
        clip_len (int): Frames of a clip.
        frame_interval (int): Distance between frames. Defaults to 1.
        num_clips (int): Clips per video. Defaults to 1.
        test_mode (bool): Whether the clips are at fixed places. Defaults to False.

    Raises:
        ValueError: If a number is no positive integer, or the video has no frames.
    """

    def choose(self, total_frames: int) -> np.ndarray:
        room = total_frames - self.span + 1
        if not self.test_mode:
            from mmaction.datasets.transforms import SampleFrames  # not when this is imported

            sampler = SampleFrames(self.clip_len, self.frame_interval, self.num_clips)
            starts = sampler._get_train_clips(total_frames, self.span)
        else:
            starts = (np.arange(self.num_clips) + 0.5) * max(room, 0) / self.num_clips
        frames = starts.astype(int)[:, None] + np.arange(self.clip_len) * self.frame_interval
        return frames % total_frames
