"""Detection and instance segmentation in COCO's format: several digits an image."""

import json
from pathlib import Path

import cv2
import numpy as np

from .drawing import (
    draw_glyph,
    in_turns,
    load_glyphs,
    load_photos,
    paint,
    place,
    random_background,
    to_picture,
)

COUNTS = dict(train=1000, val=120)
SIDES = (128, 160)
EXTENT = (18, 88)  # longer side of a digit
DIGITS = (2, 6)
EMPTY_EVERY = 25  # as some of COCO's images have no object


def outline(ink: np.ndarray) -> list[np.ndarray]:
    """Polygons around ``ink``, (h, w) floats in [0, 1], finer than a pixel: (N, 2) arrays of x, y,
    where pixel i covers i to i + 1."""
    if not ink.any():
        return []
    fine = 8
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    corner = columns[0], rows[0]
    ink = np.pad(np.float32(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]), 1)
    enlarged = cv2.resize(ink, None, fx=fine, fy=fine, interpolation=cv2.INTER_LINEAR)
    return [
        corner + (polygon + 0.5) / fine - 1 for polygon in _outline_mask(np.uint8(enlarged > 0.5))
    ]


def _outline_mask(mask: np.ndarray) -> list[np.ndarray]:
    """Polygons through the centers of the border pixels of ``mask``, without specks."""
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [
        (contour[:, 0], node[3] >= 0)
        for contour, node in zip(contours, tree[0] if contours else (), strict=True)
        if cv2.contourArea(contour) > 32
    ]
    for contour, is_hole in contours:
        if is_hole:
            # COCO's polygons have no holes: cut through it, and both sides are without one.
            column = contour[:, 0].min() + np.ptp(contour[:, 0]) // 2
            left, right = mask.copy(), mask.copy()
            left[:, column + 1 :] = 0
            right[:, :column] = 0
            return _outline_mask(left) + _outline_mask(right)
    return [cv2.approxPolyDP(contour, 1.2, closed=True)[:, 0] for contour, _ in contours]


def area_of(polygon: np.ndarray) -> float:
    """Area of a polygon, (N, 2)."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


def make_annotation(number: int, image: int, category: int, polygons: list[np.ndarray]) -> dict:
    """An object of COCO's annotation files: box and area of its polygons, (N, 2) in pixels."""
    points = np.concatenate(polygons)
    lower, upper = points.min(0), points.max(0)
    return dict(
        id=number,
        image_id=image,
        category_id=category,
        bbox=[*lower.tolist(), *(upper - lower).tolist()],
        area=sum(map(area_of, polygons)),
        segmentation=[polygon.ravel().tolist() for polygon in polygons],
        iscrowd=0,
    )


def save_image(image: np.ndarray, number: int, folder: Path) -> dict:
    """Write (H, W, 3) floats under COCO's name for image ``number``; gives its entry."""
    name = f'{number:012d}.jpg'
    to_picture(image).save(folder / name, quality=95)
    return dict(id=number, file_name=name, height=image.shape[0], width=image.shape[1])


def write_annotations(
    path: Path,
    description: str,
    images: list[dict],
    annotations: list[dict],
    categories: list[dict],
) -> None:
    """Write one of COCO's annotation files."""
    content = dict(
        info=dict(description=description, version='1.0'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=categories,
    )
    path.write_text(json.dumps(content))


def make(root: Path, seed: int, counts: dict[str, int]) -> None:
    """Write ``{train,val}2017/<number>.jpg`` and ``annotations/instances_{train,val}2017.json``,
    several digits an image; category ``d + 1`` is the digit d."""
    (root / 'annotations').mkdir()
    for index, (split, total) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, index])
        drawn, photos = in_turns(load_glyphs(split), rng), load_photos(split)
        folder = root / f'{split}2017'
        folder.mkdir()
        images, annotations = [], []
        for number in range(1, total + 1):
            shape = SIDES if rng.random() < 0.7 else SIDES[::-1]
            image = random_background(photos, shape, rng)
            taken = np.zeros(shape, bool)
            is_empty = number % EMPTY_EVERY == 0
            wanted = 0 if is_empty else rng.integers(*DIGITS, endpoint=True)
            # Large ones first, while there is room; every size, from small to large, is as likely.
            for extent in np.sort(np.exp(rng.uniform(*np.log(EXTENT), wanted)))[::-1]:
                glyph, label = next(drawn)
                ink = draw_glyph(glyph, round(extent), rng)
                corner = place(ink, taken, rng)
                if corner is None:
                    continue
                paint(image, ink, *corner, rng)
                polygons = [polygon + corner[::-1] for polygon in outline(ink)]
                annotations.append(
                    make_annotation(len(annotations) + 1, number, label + 1, polygons)
                )
            images.append(save_image(image, number, folder))
        digits = [dict(id=d + 1, name=str(d), supercategory='digit') for d in range(10)]
        write_annotations(
            root / 'annotations' / f'instances_{split}2017.json',
            'Handwritten digits on photographs',
            images,
            annotations,
            digits,
        )
