"""Reading a config and merging options into it."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from uniformer_mm.errors import UserError

from .libraries import LIBRARIES, Library, library_of

# Top-level keys that are read from the config somewhere and are no argument of the Runner.
_OTHER_KEYS = (
    'activation_checkpointing',
    'backend_args',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'preprocess_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)

_RUNNER_KEYS = {*inspect.signature(Runner.__init__).parameters, *_OTHER_KEYS} - {'self', 'cfg'}


class OptionAction(DictAction):
    """``--cfg-options`` that reports a malformed option as an error of the command line."""

    def __call__(self, parser: argparse.ArgumentParser, namespace, values, option_string=None):
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string}: expected KEY=VALUE, got {value!r}')
        super().__call__(parser, namespace, values, option_string)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        default={},
        metavar='KEY=VALUE',
        help='change entries of the config, e.g. train_dataloader.batch_size=32 '
        'custom_hooks.0.momentum=1e-4 data_preprocessor.mean=[0,0,0]',
    )


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help="folder for logs, checkpoints and metrics; by default the config's own work_dir, or "
        'work_dirs/<name of the config>',
    )
    add_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def load_config(
    path: str, options: dict[str, Any] | None = None, scope: str | None = None
) -> tuple[Config, list[str]]:
    """Read a config, merge ``--cfg-options`` into it, and prepare it as its library's tools do.

    Args:
        path: Config file.
        options: Dotted keys and their values. A key that the config does not have is added.
        scope: The library that the config must be for. Defaults to any.

    Returns:
        The config, and warnings about options that look misspelt.

    Raises:
        UserError: If the file, the library it is written for or an entry of a list is missing.
    """
    _check_config_path(path)
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        for library in LIBRARIES.values():
            # mmengine says "<distribution> is not found, please install it ...".
            if error.name == library.scope or str(error).split()[0] == library.distribution:
                raise UserError(_not_installed(path, library)) from error
        raise UserError(f'{path} cannot be read: {error}') from error
    except Exception as error:
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}') from error

    if 'model' not in cfg:
        raise UserError(f'{path} has no model: it is a part of configs, not one that can be run.')
    library = library_of(cfg)
    if scope not in (None, library.scope):
        raise UserError(
            f'{path} is no config for {scope}: its default_scope is {cfg.get("default_scope")!r}.'
        )
    if library.extra:
        _check_library(path, library)

    warnings = near_misses(cfg, options or {})
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f'--cfg-options: {error.args[0]}') from error
    library.prepare(cfg)
    return cfg, warnings


def _check_config_path(path: str) -> None:
    file = Path(path)
    if file.is_file():
        if file.suffix == '.py':
            return
        raise UserError(
            f'{path} is no Python file. Configs are programs (SECURITY.md); one in YAML or JSON '
            'looks like data and can run code as well: write it as Python.'
        )
    if file.is_dir():
        raise UserError(f'{path} is a folder; expected a config file.')
    folder = file.parent
    while not folder.is_dir():
        folder = folder.parent
    names = {p.name: p for p in folder.rglob('*.py')} if 'configs' in folder.parts else {}
    close = difflib.get_close_matches(file.name, names, n=1, cutoff=0.6)
    hint = f' Did you mean {names[close[0]]}?' if close else ''
    raise UserError(f'There is no config file {path}.{hint}')


def _not_installed(path: str, library: Library) -> str:
    return (
        f'{path} is a config for {library.scope}, which is not installed. Install it with\n'
        f'    pip install -e ".[{library.extra}]"\n'
        'in the folder of this project; python tools/check_env.py lists all that is missing.'
    )


def _check_library(path: str, library: Library) -> None:
    if importlib.util.find_spec(library.scope) is None:
        raise UserError(_not_installed(path, library))
    try:
        importlib.import_module(library.scope)
    except (ImportError, AssertionError) as error:  # they assert the version of mmcv
        raise UserError(
            f'{library.scope} is installed but cannot be imported: {error}\n'
            'python tools/check_env.py prints the command that mends it.'
        ) from error


def near_misses(cfg: Config, options: dict[str, Any]) -> list[str]:
    """Warnings about options that are new to the config and closely resemble what stands there.

    Args:
        cfg: The config before the merge.
        options: Dotted keys and their values.
    """
    warnings = []
    for option in options:
        node: Any = cfg._cfg_dict
        path = option.split('.')
        for depth, key in enumerate(path):
            if isinstance(node, list | tuple) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif not isinstance(node, dict):
                break  # the merge refuses it
            elif key in node:
                node = node[key]
            else:
                # At the top level mmengine knows more keys than a config has.
                known = {*node, *(() if depth else _RUNNER_KEYS)}
                if key not in known and (close := difflib.get_close_matches(key, known, 1, 0.85)):
                    best = '.'.join([*path[:depth], close[0], *path[depth + 1 :]])
                    warnings.append(
                        f'--cfg-options {option} is new to the config. Did you mean {best}?'
                    )
                break
    return warnings
