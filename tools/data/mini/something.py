"""Something-Something V2: its frames and list files, with the clips of :mod:`.kinetics`."""

from pathlib import Path

import numpy as np
from PIL import Image

from .kinetics import DIRECTIONS, draw_clips

COUNTS = dict(train=200, val=60)
MIN_FRAMES = 12  # some videos are shorter than a clip of 16 frames


def make(root: Path, seed: int, counts: dict[str, int]) -> None:
    """Write ``rawframes/<number>/img_00001.jpg`` and so on, for both splits, and
    ``sthv2_{train,val}_list_rawframes.txt``, with a line ``<folder> <frames> <class>`` a video."""
    (root / 'label_map.txt').write_text('\n'.join(DIRECTIONS) + '\n')
    for index, (split, total) in enumerate(counts.items()):
        rng = np.random.default_rng([seed, index])
        lines = []
        for number, (label, frames) in enumerate(draw_clips(split, total, rng)):
            name = str(number + 1 + sum(list(counts.values())[:index]))
            folder = root / 'rawframes' / name
            folder.mkdir(parents=True)
            length = int(rng.integers(MIN_FRAMES, len(frames), endpoint=True))
            for place, frame in enumerate(frames[:length], 1):
                Image.fromarray(frame).save(folder / f'img_{place:05d}.jpg', quality=95)
            lines.append(f'{name} {length} {label}\n')
        (root / f'sthv2_{split}_list_rawframes.txt').write_text(''.join(lines))
