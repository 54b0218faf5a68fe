"""Small videos for tests."""

from __future__ import annotations

import struct
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


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Let an mp4 show pixel (x, y) at (ax + cy, bx + dy), by its display matrix (a, b, c, d)."""
    content = bytearray(path.read_bytes())
    place = content.index(b'tkhd') + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def show_part(path: Path, first: int, count: int, rate: int = 15) -> Path:
    """Let the edit list of an mp4 of :func:`write_video` show ``count`` frames only."""
    content = bytearray(path.read_bytes())
    (units,) = struct.unpack_from('>I', content, content.index(b'mdhd') + 16)
    place = content.index(b'elst') + 12  # duration in ms, start in units of the track
    (start,) = struct.unpack_from('>i', content, place + 4)
    struct.pack_into('>Ii', content, place, count * 1000 // rate, start + first * units // rate)
    path.write_bytes(content)
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
