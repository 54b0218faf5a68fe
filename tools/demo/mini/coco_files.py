"""COCO's annotation files, and polygons around what was drawn."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from .drawing import to_picture


class CocoFile:
    """Images, and the objects on them, of one split.

    Attributes:
        annotations: The objects so far, as COCO writes them.
    """

    def __init__(self, root: Path, split: str) -> None:
        self.root, self.split = root, split
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        (root / f'{split}2017').mkdir(parents=True)
        (root / 'annotations').mkdir(exist_ok=True)

    def add_image(self, number: int, image: np.ndarray) -> None:
        """Write (H, W, 3) floats under COCO's name for image ``number``."""
        name = f'{number:012d}.jpg'
        to_picture(image).save(self.root / f'{self.split}2017' / name, quality=95)
        height, width = image.shape[:2]
        self.images.append(dict(id=number, file_name=name, height=height, width=width))

    def add_object(
        self, image: int, category: int, polygons: list[np.ndarray], **more: object
    ) -> dict:
        """Add an object of polygons, (N, 2) in pixels, with its box and area; returns its entry."""
        points = np.concatenate(polygons)
        lower, upper = points.min(0), points.max(0)
        annotation = dict(
            id=len(self.annotations) + 1,
            image_id=image,
            category_id=category,
            bbox=[*lower.tolist(), *(upper - lower).tolist()],
            area=sum(map(area_of, polygons)),
            segmentation=[polygon.ravel().tolist() for polygon in polygons],
            iscrowd=0,
            **more,
        )
        self.annotations.append(annotation)
        return annotation

    def write(self, kind: str, description: str, categories: list[dict]) -> None:
        """Write ``annotations/<kind>_<split>2017.json``."""
        content = dict(
            info=dict(description=description, version='1.0'),
            licenses=[],
            images=self.images,
            annotations=self.annotations,
            categories=categories,
        )
        path = self.root / f'annotations/{kind}_{self.split}2017.json'
        path.write_text(json.dumps(content))


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
