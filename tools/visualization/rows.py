"""Many pictures in one."""

from pathlib import Path

import numpy as np
from PIL import Image

GAP = 12
BACKGROUND = 40


def save_rows(pictures: list[np.ndarray], out: Path, width: int) -> None:
    """Write pictures of equal height in rows, each as many as ``width`` pixels hold, centred.

    Args:
        pictures: (H, W, 3) uint8, RGB.
        out: File to write; its folder is made.
        width: Of the whole, in pixels.
    """
    height = pictures[0].shape[0]
    rows, used = [[]], 0
    for picture in pictures:
        if used + picture.shape[1] > width and rows[-1]:
            rows, used = [*rows, []], 0
        rows[-1].append(picture)
        used += picture.shape[1] + GAP
    widths = [sum(picture.shape[1] + GAP for picture in row) + GAP for row in rows]
    canvas = np.full((len(rows) * (height + GAP) + GAP, max(widths), 3), BACKGROUND, np.uint8)
    for i, (row, row_width) in enumerate(zip(rows, widths, strict=True)):
        top, left = GAP + i * (height + GAP), GAP + (max(widths) - row_width) // 2
        for picture in row:
            canvas[top : top + height, left : left + picture.shape[1]] = picture
            left += picture.shape[1] + GAP
    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(canvas).save(out)
