"""What the tests of the mini configs share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from uniformer_mm import cli


def build(config: Path, options: dict[str, Any], work_dir: Path) -> Runner:
    """A Runner as tools/train.py builds it, with ``options`` as of ``--cfg-options``."""
    cfg, notes = cli.load_config(str(config), options)
    cli.set_work_dir(cfg, str(config), str(work_dir))
    cli.set_loaders(cfg, ('train', 'val', 'test'))
    return cli.build_runner(cfg, notes)


def leaves(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Every entry of a nested config with its dotted name."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f'{path}.{key}' if path else key)
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        for index, value in enumerate(node):
            yield from leaves(value, f'{path}.{index}')
    else:
        yield path, node


def changed(mini: Config, paper: Config, part: str) -> set[str]:
    """Names of what the mini config changes, with the number of a cascade's stage left out."""
    ours, theirs = (dict(leaves(cfg[part])) for cfg in (mini, paper))
    keys = {key for key in ours | theirs if ours.get(key) != theirs.get(key)} - {'_scope_'}
    return {'.'.join(name for name in key.split('.') if not name.isdigit()) for key in keys}
