"""Files in which one bit has changed: refused in one line, or read to the same weights.

500 bits of a file of PyTorch and 500 of a ``.safetensors`` file of ours, most of them outside the
tensors.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from table import Outcome

from uniformer_mm.checkpoints import CheckpointError, read_checkpoint, save_checkpoint

TRIALS = 1000
SUFFIXES = ('.pth', '.safetensors')


def read(path: Path, expected: dict[str, torch.Tensor]) -> tuple[str, str]:
    """Read a file; gives the verdict and what was said."""
    try:
        weights = read_checkpoint(path)
    except CheckpointError as error:
        return 'one line', str(error)
    except BaseException as error:
        return 'traceback', repr(error)
    found = {**weights.backbone, **weights.classifier, **weights.other}
    same = found.keys() == expected.keys() and all(found[k].equal(expected[k]) for k in expected)
    if not same or weights.meta.get('head_dim') != 64:
        return 'harm', 'other weights are read'
    return 'fine', ''


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """Change one bit of a file ``count`` times."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    state = {f'blocks1.{i}.mlp.fc1.weight': torch.rand(8, 4, 1, 1) for i in range(9)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'changed')
        files = {}
        for suffix in SUFFIXES:
            checkpoint = {'state_dict': state, 'meta': {'head_dim': 64}}
            files[suffix] = save_checkpoint(checkpoint, Path(folder, f'a{suffix}')).read_bytes()
        for number in range(TRIALS)[:count]:
            suffix = SUFFIXES[number % 2]
            data = bytearray(files[suffix])
            bit = rng.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            yield Outcome('bits', f'{suffix}, bit {bit}', *read(path, state))
