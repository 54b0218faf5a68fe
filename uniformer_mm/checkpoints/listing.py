"""What is known of each released file: from the table, the metafiles and the hub's folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import yaml

from uniformer_mm.errors import UserError
from uniformer_mm.home import home

from .fetching import hub_folder
from .released import LISTING, RELEASED


def list_released(words: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The released files that have all words in their names, URLs or configs.

    Args:
        words: Capitals do not matter. Defaults to none, for all files.

    Returns:
        Of each file its ``name``, what :class:`~uniformer_mm.checkpoints.Released` has, the
        ``configs`` of the networks that it holds, and if it was fetched before, ``file`` and
        ``size`` in bytes, else None.

    Raises:
        UserError: If there is none.
    """
    configs = _configs_of()
    entries = [
        {'name': name, **released._asdict(), 'configs': configs[released.url], **_kept(name)}
        for name, released in RELEASED.items()
    ]
    words = [word.lower() for word in words]
    found = [entry for entry in entries if all(word in _searched(entry) for word in words)]
    if not found:
        raise UserError(
            f'No released file has {" and ".join(map(repr, words))} in its name, URL or configs. '
            f'All files: {LISTING}.'
        )
    return found


def describe(entry: dict[str, Any]) -> str:
    """An entry of :func:`list_released` in lines."""
    facts = [f'head_dim {entry["head_dim"]}']
    if entry['sha256']:
        facts.append(f'SHA-256 {entry["sha256"]}...')
    if entry['file']:
        facts.append(f'{entry["size"] / 1e6:.1f} MB, in {entry["file"]}')
    lines = [', '.join(facts), entry['url'] or 'never released', *entry['configs']]
    return '\n    '.join([entry['name'], *lines])


def _searched(entry: dict[str, Any]) -> str:
    return ' '.join([entry['name'], entry['url'] or '', *entry['configs']]).lower()


def _kept(name: str) -> dict[str, Any]:
    file = hub_folder() / f'{name}.pth'
    kept = file.is_file()
    return {'file': str(file) if kept else None, 'size': file.stat().st_size if kept else None}


def _configs_of() -> dict[str | None, list[str]]:
    """The configs that the metafiles name with each URL."""
    configs = defaultdict(list)
    for file in sorted((home() / 'configs').glob('*/metafile.yml')):
        for model in yaml.safe_load(file.read_text())['Models']:
            for url in (model.get('Weights'), *model.get('Other Weights', ())):
                if url and model['Config'] not in configs[url]:
                    configs[url].append(model['Config'])
    return configs
