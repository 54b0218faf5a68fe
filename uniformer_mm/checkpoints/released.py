"""The table of released files (``released.json``): where each is, and what its weights do not show.

Names are those of the public files, or of the authors' experiment folders where a file has none. A
config may name them: ``init_cfg=dict(type='Pretrained', checkpoint='uniformer_base_in1k')``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from uniformer_mm.errors import CheckpointError

DRIVE = 'drive.google.com'
LISTING = 'python -m uniformer_mm weights'  # the command that shows the table


class Released(NamedTuple):
    """A released file.

    Attributes:
        url: Where it is: a file, or its page on Google Drive. None if it was never released.
        head_dim: Channels of one attention head. The same model name means another one with token
            labelling, and no tensor shape shows it.
        sha256: The first digits of its hash, if known.
        class_order: Of which data set its head is, if MMAction2 numbers its classes in another way.
        token_labelling: Whether it has the token-labelling head.
    """

    url: str | None
    head_dim: int
    sha256: str | None = None
    class_order: str | None = None
    token_labelling: bool = False


RELEASED = {
    name: Released(**entry)
    for name, entry in json.loads(Path(__file__).with_name('released.json').read_text()).items()
}


def url_of(name: str) -> str:
    """URL of a released file.

    Raises:
        CheckpointError: If there is no such name, or the file was never released.
    """
    if name not in RELEASED:
        close = difflib.get_close_matches(name, RELEASED, n=4, cutoff=0.5)
        raise CheckpointError(
            f'{name!r} is no released file{", close are " if close else ""}'
            f'{", ".join(map(repr, close))}. All names: {LISTING}. A local file without a suffix '
            f'is given with its folder: ./{name}.'
        )
    url = RELEASED[name].url
    if url is None:
        raise CheckpointError(f'The weights {name!r} were never released.')
    return url


def find_released(source: str | os.PathLike) -> Released | None:
    """The released file that a path or URL seems to be, by its name.

    Folders, a resolution, ``in1k``, hash and date in the name do not matter.
    """
    name = _name(source)
    return RELEASED.get(name) or _by_plain_name().get(_plain(name))


def hash_of(source: str | os.PathLike) -> tuple[str | None, bool]:
    """The first digits of a file's SHA-256, and whether it has the name of a released file.

    They stand in the table, or in the name: ``name-0123abcd.pth`` as of PyTorch's hub, and with a
    date behind the digits as of OpenMMLab.
    """
    name = _name(source)
    released = RELEASED.get(name)
    if released is not None and released.sha256 is not None:
        return released.sha256, True
    stated = re.search(r'-(?!20\d{6})([0-9a-f]{8,64})(_20\d{6})?$', name)
    return (stated[1] if stated else None), False


def known_head_dim(source: str | os.PathLike, token_labelling: bool) -> int | None:
    """Channels of one attention head in a released file, by its name.

    Args:
        source: Path or URL.
        token_labelling: Whether the file has the token-labelling head. A name that says otherwise
            is not trusted.

    Returns:
        The head dimension, or None for an unknown name.
    """
    released = find_released(source)
    trusted = released is not None and released.token_labelling == token_labelling
    return released.head_dim if trusted else None


@cache
def _by_plain_name() -> dict[str, Released]:
    return {_plain(name): entry for name, entry in RELEASED.items()}


def _name(source: str | os.PathLike) -> str:
    file = str(source).partition('?')[0].rsplit('/', 1)[-1]
    return re.sub(r'\.(pth|pt|pyth|bin|safetensors)(\.tar)?$', '', file)


def _plain(name: str) -> str:
    # The authors' folder ``exp_light/xxs_128`` holds the file ``uniformer_xxs_128_in1k``, and
    name = re.sub(r'^xx?s_', r'uniformer_\g<0>', name)
    name = re.sub(r'(_in1k|_224|_384|-[0-9a-f]{8}|_20\d{6})+$', '', name)
    name = re.sub(r'^(top_down)_\d+x\d+', r'\1', name)
    # ``uniformer_s16x8_k400`` holds the file ``uniformer_small_k400_16x8``.
    match = re.fullmatch(r'uniformer_([sb])(\d+(?:x\d+)?)_([a-z]+\d+)(.*)', name)
    if match:
        size = {'s': 'small', 'b': 'base'}[match[1]]
        name = f'uniformer_{size}_{match[3]}_{match[2]}{match[4]}'
    return name
