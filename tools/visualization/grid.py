"""What the tools that draw many predictions in one picture share."""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

GAP = 12
BACKGROUND = 40


def make_parser(description: str, number: int) -> argparse.ArgumentParser:
    """A parser with the arguments of all such tools; ``number`` is the default of ``--number``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config the predictions were made with')
    parser.add_argument('predictions', type=Path, help='dump of tools/test.py')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument(
        '--number', type=int, default=number, help='images or clips; default: %(default)s'
    )
    return parser


def add_row_arguments(parser: argparse.ArgumentParser, height: int) -> None:
    """Add the sizes of rows of images; ``height`` is the default of ``--height``."""
    parser.add_argument(
        '--width', type=int, default=1700, help='of the whole in pixels; default: %(default)s'
    )
    parser.add_argument(
        '--height', type=int, default=height, help='of an image in pixels; default: %(default)s'
    )


def check_files(*files: str | Path) -> None:
    """End the program with a message if a file does not exist."""
    for file in files:
        if not Path(file).is_file():
            sys.exit(f'error: there is no file {file}')


def save_rows(pictures: list[np.ndarray], out: Path, width: int) -> None:
    """Write pictures of equal height in rows, each as many as ``width`` pixels hold, centered.

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
