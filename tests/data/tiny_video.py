"""Small videos for tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def write_video(
    path: Path,
    frames: np.ndarray,
    times: list[int] | None = None,
    codec: str = 'libx264',
    rate: int = 15,
) -> Path:
    """Write (N, H, W, 3) uint8 RGB frames; ``times`` in units of 1 / rate default to 0, 1, 2..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate, options=dict(crf='12'))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def moving_bar(count: int, shape: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """Frames with a bright bar that is one column further in each."""
    frames = np.random.default_rng(seed).integers(0, 90, (1, *shape, 3), dtype=np.uint8)
    frames = frames.repeat(count, axis=0)
    for number, frame in enumerate(frames):
        left = 2 * number % (shape[1] - 8)
        frame[:, left : left + 8] = (250, 220, 40)
    return frames


def write_frames(folder: Path, frames: np.ndarray, template: str = 'img_{:05}.jpg') -> Path:
    """Write RGB frames as images, numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / template.format(number), quality=95)
    return folder
