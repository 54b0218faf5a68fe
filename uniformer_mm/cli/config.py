"""Reading a config and merging options into it."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from ..errors import UserError


@dataclass(frozen=True)
class Library:
    """What the tools have to know about one OpenMMLab library.

    Attributes:
        extra: Name of this project's pip extra that installs it.
        visualization: Type of its hook that draws predictions, and what the hook calls the switch
            and the output folder (None: the visualizer's ``save_dir`` decides).
        dump: Type of the metric that writes predictions to a file.
    """

    extra: str
    visualization: tuple[str, str, str | None]
    dump: str = 'DumpResults'


LIBRARIES = {
    'mmpretrain': Library('cls', ('VisualizationHook', 'enable', 'out_dir')),
    'mmdet': Library('det', ('DetVisualizationHook', 'draw', 'test_out_dir'), 'DumpDetResults'),
    'mmseg': Library('seg', ('SegVisualizationHook', 'draw', None)),
    'mmpose': Library('pose', ('PoseVisualizationHook', 'enable', 'out_dir')),
    'mmaction': Library('video', ('VisualizationHook', 'enable', 'out_dir')),
}

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


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share."""
    parser.add_argument(
        '--work-dir',
        metavar='DIR',
        help="folder for logs, checkpoints and metrics; by default the config's own work_dir, or "
        'work_dirs/<name of the config>',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        default={},
        metavar='KEY=VALUE',
        help='change entries of the config, e.g. train_dataloader.batch_size=32 '
        'custom_hooks.0.momentum=1e-4 data_preprocessor.mean=[0,0,0]; +KEY=VALUE adds a key even '
        'if it looks like a misspelling of another one',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by launchers'
    )


def load_config(path: str, options: dict[str, Any] | None = None) -> tuple[Config, list[str]]:
    """Read a config and merge ``--cfg-options`` into it.

    Args:
        path: Config file.
        options: Dotted keys and their values.

    Returns:
        The config, and notes for the log.

    Raises:
        UserError: If the file, an option or the library the config is written for is missing.
    """
    _check_config_path(path)
    try:
        cfg = Config.fromfile(path)
    except ModuleNotFoundError as error:
        for scope, library in LIBRARIES.items():
            names = (scope, scope.replace('mmaction', 'mmaction2').replace('seg', 'segmentation'))
            if error.name == scope or str(error).split()[0] in names:
                raise UserError(_not_installed(path, scope, library)) from error
        raise UserError(f'{path} cannot be read: {error}') from error
    except Exception as error:
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}') from error

    if 'model' not in cfg:
        raise UserError(f'{path} has no model: it is a part of configs, not one that can be run.')
    scope = cfg.get('default_scope')
    if scope in LIBRARIES:
        _check_library(path, scope)

    notes = check_options(cfg, options or {})
    try:
        cfg.merge_from_dict({key.lstrip('+'): value for key, value in (options or {}).items()})
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f'--cfg-options: {error.args[0]}') from error
    if scope == 'mmpose' and 'preprocess_cfg' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.preprocess_cfg)
    if scope == 'mmdet':
        importlib.import_module('mmdet.utils').setup_cache_size_limit_of_dynamo()
    return cfg, notes


def _check_config_path(path: str) -> None:
    file = Path(path)
    if file.is_file():
        return
    if file.is_dir():
        raise UserError(f'{path} is a folder; expected a config file.')
    folder = file.parent
    while not folder.is_dir():
        folder = folder.parent
    names = {p.name: p for p in folder.rglob('*.py')} if 'configs' in folder.parts else {}
    close = difflib.get_close_matches(file.name, names, n=1, cutoff=0.6)
    hint = f' Did you mean {names[close[0]]}?' if close else ''
    raise UserError(f'There is no config file {path}.{hint}')


def _not_installed(path: str, scope: str, library: Library) -> str:
    return (
        f'{path} is a config for {scope}, which is not installed. Install it with\n'
        f'    pip install -e ".[{library.extra}]"\n'
        'in the folder of this project; python tools/check_env.py lists all that is missing.'
    )


def _check_library(path: str, scope: str) -> None:
    if importlib.util.find_spec(scope) is None:
        raise UserError(_not_installed(path, scope, LIBRARIES[scope]))
    try:
        importlib.import_module(scope)
    except (ImportError, AssertionError) as error:  # they assert the version of mmcv
        raise UserError(
            f'{scope} is installed but cannot be imported: {error}\n'
            'python tools/check_env.py prints the command that mends it.'
        ) from error


def check_options(cfg: Config, options: dict[str, Any]) -> list[str]:
    """Refuse options that look misspelt.

    A key that the config does not have is an error if it closely resembles one that it has in the
    same place (or, at the top level, one that mmengine knows); otherwise it is added, and said in
    the log. A ``+`` before a key adds it in any case.

    Args:
        cfg: The config before the merge.
        options: Dotted keys and their values.

    Returns:
        Notes that name the keys which are added.

    Raises:
        UserError: At the first key that looks misspelt.
    """
    added = []
    for option in options:
        node: Any = cfg._cfg_dict
        path = option.lstrip('+').split('.')
        for depth, key in enumerate(path):
            if isinstance(node, list | tuple):
                if not (key.isdigit() and int(key) < len(node)):
                    place = '.'.join(path[:depth])
                    raise UserError(
                        f'--cfg-options {option}: {place} is a list of {len(node)} entries; '
                        f'expected an index from 0 to {len(node) - 1}, got {key!r}.'
                    )
                node = node[int(key)]
                continue
            if not isinstance(node, dict):
                break
            if key in node:
                node = node[key]
                continue
            known = {*node, *(() if depth else _RUNNER_KEYS)}
            close = difflib.get_close_matches(key, known - {key}, cutoff=0.85)
            if close and key not in known and not option.startswith('+'):
                best = '.'.join([*path[:depth], close[0], *path[depth + 1 :]])
                raise UserError(
                    f'--cfg-options {option}: the config has no such key. Did you mean {best}? '
                    f'If {".".join(path[: depth + 1])} is meant to be new, write +{option}.'
                )
            added.append('.'.join(path))
            break
    return [f'Options new to the config: {", ".join(added)}.'] if added else []
