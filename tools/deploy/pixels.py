"""From files to the arrays that a network takes, as the MM libraries make them, in NumPy.

Resized pixels are those of OpenCV 5 and Pillow; other builds of OpenCV may round one otherwise.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

Step = dict[str, Any]


def check_file(path: Path) -> None:
    """See that there is a file with something in it.

    Raises:
        OSError: If not; says what is there.
    """
    if not path.is_file():
        raise OSError('a folder' if path.is_dir() else 'there is no such file')
    if path.stat().st_size == 0:
        raise OSError('the file is empty')


def read_image(path: Path) -> np.ndarray:
    """Pixels (H, W, 3) uint8 RGB, turned as the camera was held.

    Raises:
        OSError: If it cannot be read, or not all of it.
    """
    check_file(path)
    try:
        with Image.open(path) as image:
            if image.mode[0] in 'IF':
                raise OSError(f'its pixels are {image.mode}; expected 8 bits for each channel')
            return np.array(ImageOps.exif_transpose(image).convert('RGB'))
    except OSError as error:
        raise OSError(f'no whole image ({error})') from error
    except Exception as error:  # the readers of the formats raise many types
        raise OSError(f'no image ({type(error).__name__}: {error})') from error


# -------------------------------------------------------------------------------------------------
# Sizes
# -------------------------------------------------------------------------------------------------


def sample_lines(array: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """Values of an array at places between the indices of an axis; beyond the ends, those there."""
    last = array.shape[axis] - 1
    places = np.clip(places, 0, last)
    low = np.floor(places).astype(int)
    shape = [1] * array.ndim
    shape[axis] = -1
    share = (places - low).astype(np.float32).reshape(shape)
    first, second = (np.take(array, i, axis) for i in (low, np.minimum(low + 1, last)))
    return first * (1 - share) + second * share


def resize_linear(array: np.ndarray, size: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    """Float32 values of two axes at another size, between pixel centers, without antialiasing."""
    array = array.astype(np.float32)
    for axis, length in zip(axes, size, strict=True):
        if length != array.shape[axis]:
            centers = (np.arange(length) + 0.5) * (array.shape[axis] / length) - 0.5
            array = sample_lines(array, axis, centers)
    return array


def resize_bytes(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """:func:`resize_linear` of an image (H, W, 3) uint8 in OpenCV's whole numbers."""
    (top, bottom, upper, lower), (left, right, first, second) = (
        _neighbours(old, new) for old, new in zip(image.shape, size, strict=False)
    )
    rows = np.multiply(image[:, left], first[:, None], dtype=np.int32)
    rows += np.multiply(image[:, right], second[:, None], dtype=np.int32)
    rows >>= 4
    out = (rows[top] * upper[:, None, None]) >> 16
    out += (rows[bottom] * lower[:, None, None]) >> 16
    return ((out + 2) >> 2).astype(np.uint8)


def _neighbours(old: int, new: int) -> tuple[np.ndarray, ...]:
    """The two pixels on an axis that each new one lies between, and their shares of 2048."""
    centers = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)  # as OpenCV's
    low = np.floor(centers)
    pair = np.clip([low, low + 1], 0, old - 1).astype(int)
    shares = (np.rint(part * 2048).astype(np.int32) for part in (low + 1 - centers, centers - low))
    return (*pair, *shares)


def resize(image: np.ndarray, size: tuple[int, int], filter: str) -> np.ndarray:
    """An image (H, W, 3) uint8 at another (height, width)."""
    if image.shape[:2] == size:
        return image
    if filter == 'linear':
        return resize_bytes(image, size)
    height, width = size
    method = Image.Resampling[filter.upper()]
    return np.array(Image.fromarray(image).resize((width, height), method))


def new_size(shape: Sequence[int], step: Step) -> tuple[int, int]:
    """The (height, width) that a step gives an image of ``shape``."""
    height, width = shape[:2]
    if step['step'] == 'resize_to':
        return step['height'], step['width']
    if step['step'] == 'resize_up':
        divisor, least = step['divisor'], step['least']
        return tuple(max(-(-side // divisor) * divisor, least) for side in (height, width))
    if step['step'] == 'resize_short':
        side = step['side']
        return (
            (int(side * height / width), side)
            if width < height
            else (side, int(side * width / height))
        )
    scale = step['short'] / min(height, width)
    if step['long'] is not None:
        scale = min(step['long'] / max(height, width), scale)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def crop(image: np.ndarray, step: Step) -> np.ndarray:
    """The part of an image that a step takes."""
    spare = [max(0, image.shape[axis] - step[side]) for axis, side in ((0, 'height'), (1, 'width'))]
    half = {'middle': lambda n: round(n / 2), 'center': lambda n: n // 2, 'first': lambda n: 0}
    top, left = (half[step['place']](n) for n in spare)
    return image[top : top + step['height'], left : left + step['width']]


def apply(image: np.ndarray, steps: Sequence[Step]) -> np.ndarray:
    """An image after the steps that resize and crop it."""
    for step in steps:
        if step['step'].startswith('resize'):
            image = resize(image, new_size(image.shape, step), step['filter'])
        elif step['step'] == 'crop':
            image = crop(image, step)
    return image


def values(images: Sequence[np.ndarray], rule: dict[str, Any]) -> np.ndarray:
    """What the network takes of images of one size: (B, 3, H, W) float32."""
    batch = np.stack(images).astype(np.float32)
    if rule['channels'] == 'BGR':
        batch = batch[..., ::-1]
    batch = (batch - np.float32(rule['mean'])) / np.float32(rule['std'])
    pads = [(0, -side % rule['pad_divisor']) for side in batch.shape[1:3]]
    batch = np.pad(batch, ((0, 0), *pads, (0, 0)), constant_values=rule['pad_value'])
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2))


# -------------------------------------------------------------------------------------------------
# People
# -------------------------------------------------------------------------------------------------


def fit_box(box: Sequence[float], padding: float, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Center and size of a box x1, y1, x2, y2, enlarged, and to a ratio of width to height."""
    x1, y1, x2, y2 = (np.float32(value) for value in box[:4])
    width, height = np.float32([(x2 - x1) * padding, (y2 - y1) * padding])
    if width > height * ratio:
        height = width / ratio
    else:
        width = height * ratio
    return np.float32([x1 + x2, y1 + y2]) * np.float32(0.5), np.float32([width, height])


def crop_box(
    image: np.ndarray, center: np.ndarray, size: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """A box of an image as an image of ``shape``, (height, width); black beyond the borders."""
    height, width = shape
    scale = size[0] / width
    places = []
    for axis, length in ((1, height), (0, width)):
        places.append((np.arange(length) - length / 2) * scale + center[axis] + 1)  # the border
    framed = np.pad(image, ((1, 1), (1, 1), (0, 0))).astype(np.float32)
    for axis, place in enumerate(places):
        framed = sample_lines(framed, axis, place)
    return np.rint(framed).astype(np.uint8)


# -------------------------------------------------------------------------------------------------
# Clips
# -------------------------------------------------------------------------------------------------


def choose_frames(total: int, step: Step) -> np.ndarray:
    """The frames of the clips of a video of ``total`` frames, (clips, length)."""
    length, clips, interval = step['length'], step['clips'], step['interval']
    span = length * interval
    if step['rule'] == 'uniform':
        segment = (total - 1) / length
        within = [int(segment / (clips + 1) * (clip + 1)) for clip in range(clips)]
        return np.rint(segment * np.arange(length)).astype(int) + np.array(within)[:, None]
    if step['rule'] == 'dense':
        room = max(total - span, 0)
        starts = np.arange(clips) * (room // (clips - 1)) if clips > 1 else np.array([room // 2])
        offsets = np.arange(length) * (span - 1) / max(length - 1, 1)
        return np.minimum(starts[:, None] + offsets, total - 1).astype(int)
    starts = (np.arange(clips) + 0.5) * max(total - span + 1, 0) / clips
    return (starts.astype(int)[:, None] + np.arange(length) * interval) % total


def read_frames(path: Path, step: Step) -> list[list[np.ndarray]]:
    """The frames of each clip of a video, (H, W, 3) uint8 RGB.

    Raises:
        OSError: If it cannot be read.
    """
    import av

    check_file(path)
    content = path.read_bytes()
    try:
        with av.open(io.BytesIO(content)) as container:
            (stream, *_) = container.streams.video or [None]
            if stream is None:
                raise OSError('the file holds no video')
            total = sum(packet.size > 0 for packet in container.demux(stream))
        chosen = choose_frames(total, step)
        numbers, found, last = {*chosen.flat}, {}, None
        with av.open(io.BytesIO(content)) as container:
            for number, last in enumerate(container.decode(video=0)):
                if number in numbers:
                    found[number] = to_pixels(last)
                if number == max(numbers):
                    break
    except av.error.FFmpegError as error:
        raise OSError(f'no video that can be read ({error.strerror})') from error
    if last is None:
        raise OSError('no frame can be decoded')
    # A video that ends early goes on with its last frame.
    found |= {number: to_pixels(last) for number in numbers - found.keys()}
    return [[found[number] for number in clip] for clip in chosen.tolist()]


def to_pixels(frame: Any) -> np.ndarray:
    """Pixels of PyAV's frame, turned by the quarter turns that the file asks for."""
    turns, rest = divmod(frame.rotation, 90)  # anticlockwise
    pixels = frame.to_ndarray(format='rgb24')
    return pixels if rest else np.rot90(pixels, turns)
