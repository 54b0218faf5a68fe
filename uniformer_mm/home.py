"""Where configs and tools are: beside the package in a checkout, inside it once installed."""

from __future__ import annotations

import difflib
from pathlib import Path

from .errors import UserError

_PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """The folder that holds ``configs`` and ``tools``; ``python -m uniformer_mm`` prints it."""
    installed = _PACKAGE / '.mim'
    return installed if installed.is_dir() else _PACKAGE.parent


def find_config(path: str) -> str:
    """The place of one of this project's configs, for the ``_base_`` of one that lies anywhere.

    MMEngine evaluates that entry before all imports of the file, and takes ``library::path`` for a
    fixed list of libraries only::

        _base_ = [__import__('uniformer_mm').find_config('imagenet/uniformer-small_8xb128_in1k.py')]

    Args:
        path: The config's path below ``configs``.

    Raises:
        UserError: If there is no such config.
    """
    folder = home() / 'configs'
    if (folder / path).is_file():
        return str(folder / path)
    raise UserError(f'There is no config {path} in {folder}.{near_config(folder, path)}')


def near_config(folder: Path, path: str) -> str:
    """A question about the config below a folder whose name is most like a path's, if one is."""
    names = {file.name: file for file in folder.rglob('*.py')}
    close = difflib.get_close_matches(Path(path).name, names, n=1, cutoff=0.6)
    return f' Did you mean {names[close[0]]}?' if close else ''
