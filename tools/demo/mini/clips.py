"""Videos and raw frames: a digit moves over a photograph, and its direction is the class.

A digit that leaves on one side comes in on the other, and starts anywhere. So where it is says
nothing about where it goes: a single frame fits every class.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from .drawing import Sketch, blend, contrasting_colour, halo_of, to_picture

SIDE = 80
EXTENT = (26, 40)  # longer side of the digit
FRAMES = 32
MIN_FRAMES = 12  # of raw frames, so that some are shorter than a clip of 16
RATE = 16
SPEED = (1.2, 2.5)  # pixels a frame
DRIFT = 0.2  # to the side, as a share of the speed
# Rows and columns a frame; the class is the place in this list.
DIRECTIONS = dict(right=(0, 1), left=(0, -1), down=(1, 0), up=(-1, 0))


def write_kinetics(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``videos_<split>/<number>.mp4`` and ``kinetics400_<split>_list_videos.txt``, with a
    line ``<file> <class>`` a video; ``label_map.txt`` has the names of the classes."""
    lines = []
    for number, (label, frames) in enumerate(draw_clips(total, sketch)):
        write_video(root / f'videos_{split}/{number:04d}.mp4', frames)
        lines.append(f'{number:04d}.mp4 {label}\n')
    _write_lists(root, f'kinetics400_{split}_list_videos.txt', lines)


def write_something(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``rawframes/<number>/img_00001.jpg`` and so on, numbered through all splits, and
    ``sthv2_<split>_list_rawframes.txt``, with a line ``<folder> <frames> <class>`` a video."""
    (root / 'rawframes').mkdir(exist_ok=True)
    lines = []
    for number, (label, frames) in enumerate(
        draw_clips(total, sketch), len(list((root / 'rawframes').iterdir())) + 1
    ):
        length = int(sketch.rng.integers(MIN_FRAMES, FRAMES, endpoint=True))
        write_frames(root / f'rawframes/{number}', frames[:length])
        lines.append(f'{number} {length} {label}\n')
    _write_lists(root, f'sthv2_{split}_list_rawframes.txt', lines)


def _write_lists(root: Path, name: str, lines: list[str]) -> None:
    (root / name).write_text(''.join(lines))
    (root / 'label_map.txt').write_text('\n'.join(DIRECTIONS) + '\n')


def draw_clips(total: int, sketch: Sketch) -> Iterator[tuple[int, np.ndarray]]:
    """Classes, each as often as the others, and clips of ``FRAMES`` frames."""
    directions = list(DIRECTIONS.values())
    for number in range(total):
        label = number % len(directions)
        yield label, draw_clip(directions[label], FRAMES, sketch)


def draw_clip(direction: tuple[int, int], length: int, sketch: Sketch) -> np.ndarray:
    """A digit that moves over a still photograph: (length, SIDE, SIDE, 3) uint8."""
    rng = sketch.rng
    glyph, _ = next(sketch.glyphs)
    background = sketch.background((SIDE, SIDE))
    drawn = sketch.draw(glyph, int(rng.integers(*EXTENT, endpoint=True)))
    top, left = ((SIDE - side) // 2 for side in drawn.shape)
    ink = np.zeros((SIDE, SIDE))
    ink[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    halo = halo_of(ink, drawn.shape[0])
    colour = contrasting_colour(background, rng)

    start = rng.uniform(0, SIDE, 2)
    step = np.array(direction) * rng.uniform(*SPEED)
    step = step + step[::-1] * rng.uniform(-DRIFT, DRIFT)
    frames = []
    for number in range(length):
        shift = np.round(start + number * step).astype(int)
        frame = background.copy()
        blend(frame, np.roll(ink, shift, (0, 1)), np.roll(halo, shift, (0, 1)), colour)
        frames.append(np.asarray(to_picture(frame)))
    return np.stack(frames)


def write_video(
    path: Path,
    frames: np.ndarray,
    times: list[int] | None = None,
    codec: str = 'libx264',
    **options: str,
) -> Path:
    """Write (N, H, W, 3) uint8 RGB frames in high quality, H.264 by default; ``times``, in units of
    1 / ``RATE``, default to 0, 1, 2...; ``options`` are those of the codec."""
    import av  # which the other data sets do without

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        # A constant quantizer: with rate control, files of the same seed differ now and then.
        quality = dict(qp='16', preset='veryfast')
        stream = container.add_stream(codec, rate=RATE, options=quality | options)
        stream.thread_count = 1
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format='rgb24')
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, frames: np.ndarray, template: str = 'img_{:05}.jpg') -> Path:
    """Write (N, H, W, 3) uint8 RGB frames as images, numbered from 1."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        Image.fromarray(frame).save(folder / template.format(number), quality=95)
    return folder
