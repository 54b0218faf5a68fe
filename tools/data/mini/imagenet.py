"""Classification in ImageNet's folders: one digit an image."""

from pathlib import Path

import numpy as np

from .drawing import (
    draw_glyph,
    in_turns,
    load_glyphs,
    load_photos,
    paint,
    random_background,
    to_picture,
)

COUNTS = dict(train=4000, val=500)
SIDE = 80
EXTENT = (46, 68)  # longer side of the digit


def make(root: Path, seed: int, counts: dict[str, int]) -> None:
    """Write ``{train,val}/<digit>/NNNN.png``, one digit an image."""
    for index, (split, total) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, index])
        glyphs, photos = load_glyphs(split), load_photos(split)
        for label in range(10):
            (root / split / str(label)).mkdir(parents=True)
        drawn = in_turns(glyphs, rng)
        for number in range(total):
            glyph, label = next(drawn)
            image = random_background(photos, (SIDE, SIDE), rng)
            ink = draw_glyph(glyph, int(rng.integers(*EXTENT, endpoint=True)), rng)
            # Anywhere that a center crop of 7/8 keeps.
            margin = SIDE // 16
            top, left = (int(rng.integers(margin, SIDE - margin - side + 1)) for side in ink.shape)
            paint(image, ink, top, left, rng)
            to_picture(image).save(root / split / str(label) / f'{number:04d}.png')
