"""Kinetics' videos and list files: a digit moves over a photograph, and its direction is the class.

A digit that leaves on one side comes in on the other, and starts anywhere. So where it is says
nothing about where it goes: a single frame fits every class.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from .drawing import (
    blend,
    contrasting_colour,
    draw_glyph,
    halo_of,
    in_turns,
    load_glyphs,
    load_photos,
    random_background,
    to_picture,
)

COUNTS = dict(train=1200, val=200)
SIDE = 80
EXTENT = (26, 40)  # longer side of the digit
FRAMES = 32
RATE = 16
SPEED = (1.2, 2.5)  # pixels a frame
DRIFT = 0.2  # to the side, as a share of the speed
# Rows and columns a frame; the class is the place in this list.
DIRECTIONS = dict(right=(0, 1), left=(0, -1), down=(1, 0), up=(-1, 0))


def draw_clip(
    glyph: np.ndarray,
    direction: tuple[int, int],
    photos: list[np.ndarray],
    length: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """A digit that moves over a still photograph: (length, SIDE, SIDE, 3) uint8."""
    background = random_background(photos, (SIDE, SIDE), rng)
    drawn = draw_glyph(glyph, int(rng.integers(*EXTENT, endpoint=True)), rng)
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


def draw_clips(
    split: str, total: int, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Classes, each as often as the others, and clips of ``FRAMES`` frames."""
    drawn, photos = in_turns(load_glyphs(split), rng), load_photos(split)
    directions = list(DIRECTIONS.values())
    for number in range(total):
        label = number % len(directions)
        glyph, _ = next(drawn)
        yield label, draw_clip(glyph, directions[label], photos, FRAMES, rng)


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write (N, H, W, 3) uint8 RGB frames as H.264 of high quality."""
    with av.open(str(path), 'w') as container:
        # A constant quantizer: with rate control, files of the same seed differ now and then.
        options = dict(qp='16', preset='veryfast')
        stream = container.add_stream('libx264', rate=RATE, options=options)
        stream.thread_count = 1
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


def make(root: Path, seed: int, counts: dict[str, int]) -> None:
    """Write ``videos_{train,val}/<number>.mp4`` and ``kinetics400_{train,val}_list_videos.txt``,
    with a line ``<file> <class>`` a video; ``label_map.txt`` has the names of the classes."""
    (root / 'label_map.txt').write_text('\n'.join(DIRECTIONS) + '\n')
    for index, (split, total) in enumerate(counts.items()):
        folder = root / f'videos_{split}'
        folder.mkdir()
        lines = []
        clips = draw_clips(split, total, np.random.default_rng([seed, index]))
        for number, (label, frames) in enumerate(clips):
            write_video(folder / f'{number:04d}.mp4', frames)
            lines.append(f'{number:04d}.mp4 {label}\n')
        (root / f'kinetics400_{split}_list_videos.txt').write_text(''.join(lines))
