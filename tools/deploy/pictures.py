"""Pictures of predictions, drawn with Pillow."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SMALLEST = 320  # short side of a picture in pixels, for the text on it to be read
OPACITY = 0.5
FRAMES, TOP = 8, 5


def palette(colours: Sequence[Sequence[int]], count: int) -> np.ndarray:
    """The colours of classes, (count, 3) uint8: those given, or as many hues."""
    if len(colours) == count:
        return np.array(colours, np.uint8)
    hues = [colorsys.hsv_to_rgb(i * 0.618 % 1, 0.75, 0.95) for i in range(count)]
    return (np.array(hues) * 255).astype(np.uint8).reshape(count, 3)


def enlarge(image: np.ndarray) -> tuple[Image.Image, float]:
    """An image whose shorter side is readable, and by how much it was enlarged."""
    factor = max(1.0, SMALLEST / min(image.shape[:2]))
    height, width = (round(side * factor) for side in image.shape[:2])
    return Image.fromarray(image).resize((width, height)), factor


def write(pen: ImageDraw.ImageDraw, place: Sequence[float], text: str, colour: object) -> None:
    """Text on a plate, inside the picture."""
    font = ImageFont.load_default(14)
    left, top, right, bottom = pen.textbbox((0, 0), text, font)
    x = min(max(0, place[0]), max(0, pen.im.size[0] - right - 4))
    y = min(max(0, place[1]), max(0, pen.im.size[1] - bottom - 4))
    pen.rectangle((x, y, x + right + 4, y + bottom + 4), fill=(0, 0, 0))
    pen.text((x + 2, y + 2), text, colour, font)


def labelled(image: np.ndarray, text: str) -> Image.Image:
    """An image and its class."""
    picture, _ = enlarge(image)
    write(ImageDraw.Draw(picture), (0, 0), text, 'white')
    return picture


def coloured(image: np.ndarray, classes: np.ndarray, colours: np.ndarray) -> Image.Image:
    """An image and the class (H, W) of each pixel."""
    mixed = image * (1 - OPACITY) + colours[classes] * OPACITY
    return Image.fromarray(mixed.astype(np.uint8))


def boxed(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[int],
    texts: Sequence[str],
    masks: Sequence[np.ndarray],
    colours: np.ndarray,
) -> Image.Image:
    """An image and the objects in it, with masks (H, W) of booleans."""
    pixels = image.astype(np.float32)
    for label, mask in zip(labels, masks, strict=True):
        pixels[mask] += (colours[label] - pixels[mask]) * OPACITY
    picture, factor = enlarge(pixels.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for box, label, text in zip(boxes * factor, labels, texts, strict=True):
        colour = tuple(map(int, colours[label]))
        pen.rectangle(tuple(map(float, box)), outline=colour, width=2)
        write(pen, (box[0], box[1] - 20), text, colour)
    return picture


def skeletons(
    image: np.ndarray,
    people: Sequence[tuple[np.ndarray, np.ndarray]],
    links: Sequence[Sequence[int]],
    link_colours: Sequence[Sequence[int]],
    point_colours: Sequence[Sequence[int]],
    threshold: float,
) -> Image.Image:
    """An image and people: keypoints (K, 2) and their scores (K,)."""
    picture, factor = enlarge(image)
    pen = ImageDraw.Draw(picture)
    for points, scores in people:
        points = points * factor + (factor - 1) / 2  # pixel centers are integers
        for (one, other), colour in zip(links, link_colours, strict=True):
            if min(scores[one], scores[other]) >= threshold:
                ends = [tuple(map(float, points[i])) for i in (one, other)]
                pen.line(ends, tuple(colour), 3)
        for (x, y), score, colour in zip(points, scores, point_colours, strict=True):
            if score >= threshold:
                pen.ellipse((x - 3, y - 3, x + 3, y + 3), tuple(colour))
    return picture


def filmstrip(
    frames: Sequence[np.ndarray], title: str, found: Sequence[tuple[str, float]]
) -> Image.Image:
    """Frames of a video, and the likeliest classes below them."""
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    height, gap, line = 120, 4, 24
    tiles = [
        Image.fromarray(f).resize((round(f.shape[1] * height / f.shape[0]), height))
        for f in map(np.ascontiguousarray, chosen)
    ]
    width = sum(tile.width + gap for tile in tiles) + gap
    picture = Image.new('RGB', (width, 32 + height + 8 + line * len(found) + 8), 'white')
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    pen.text((width // 2, 16), title, 'black', font, anchor='mm')
    left = gap
    for tile in tiles:
        picture.paste(tile, (left, 32))
        left += tile.width + gap
    room = width - 260
    for number, (name, share) in enumerate(found):
        top = 32 + height + 8 + line * number
        pen.text((150, top + line // 2), name, 'black', font, anchor='rm')
        pen.rectangle((160, top + 4, 160 + room * share, top + line - 4), fill='#1f77b4')
        pen.text((166 + room * share, top + line // 2), f'{share:.1%}', 'black', font, anchor='lm')
    return picture
