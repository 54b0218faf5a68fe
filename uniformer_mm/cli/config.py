"""Reading a config and merging options into it."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import NoneType
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from uniformer_mm.errors import UserError
from uniformer_mm.home import near_config

from .libraries import LIBRARIES, Library, library_of
from .numbers import check_numbers

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

_RUNNER_KEYS = {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
_DICTS = {
    *('train_dataloader', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('model', 'data_preprocessor', 'optim_wrapper', 'auto_scale_lr', 'default_hooks', 'env_cfg'),
    *('log_processor', 'visualizer', 'randomness'),
}
# Entries without a type, of which nobody refuses a key that does not exist.
_UNTYPED = {
    '': _RUNNER_KEYS,
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'env_cfg': {'cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'},
    'optim_wrapper.paramwise_cfg': {
        *('custom_keys', 'lr_mult', 'decay_mult', 'bias_lr_mult', 'bias_decay_mult'),
        *('norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult'),
        *('bypass_duplicate', 'decay_rate', 'decay_type', 'layer_decay_rate', 'num_layers'),
    },
}


class OptionAction(DictAction):
    """``--cfg-options`` that keeps the spaces of values and reports malformed options.

    MMEngine removes all spaces, those of paths as well. Here only those go that stand at either end
    of a value or of an entry of a list.
    """

    def __call__(self, parser: argparse.ArgumentParser, namespace, values, option_string=None):
        hidden = []
        for value in values:
            key, equals, text = value.partition('=')
            if not equals or not key:
                parser.error(f'{option_string}: expected KEY=VALUE, got {value!r}')
            hidden.append(f'{key}={_hide_spaces(text)}')
        before = getattr(namespace, self.dest, None) or {}
        setattr(namespace, self.dest, {})
        try:
            super().__call__(parser, namespace, hidden, option_string)
        except AssertionError as error:  # brackets that are not closed
            parser.error(f'{option_string}: {_show_spaces(str(error))}')
        setattr(namespace, self.dest, {**before, **_show_spaces(getattr(namespace, self.dest))})


_HIDDEN = '\0'  # no argument of a program holds it


def _hide_spaces(text: str) -> str:
    """Put another character in place of the spaces that belong to a value."""
    text = text.strip()
    if ',' in text or text.startswith(('(', '[')):
        text = re.sub(r'(?<=[\[(,]) +| +(?=[\]),])', '', text)
    return text.replace(' ', _HIDDEN)


def _show_spaces(node: Any) -> Any:
    """Undo :func:`_hide_spaces` in a parsed value."""
    if isinstance(node, dict):
        return {key: _show_spaces(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(map(_show_spaces, node))
    return node.replace(_HIDDEN, ' ') if isinstance(node, str) else node


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
        UserError: If the file, the library it is written for or an entry of a list is missing, if
            a key of the file looks misspelt, or a number is one that no run can mean.
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
        hint = ''
        if 'load uniformer_mm config' in str(error):  # as which library's, MMEngine does not know
            hint = " Write __import__('uniformer_mm').find_config('...') for 'uniformer_mm::...'."
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}{hint}') from error

    if 'model' not in cfg:
        raise UserError(f'{path} has no model: it is a part of configs, not one that can be run.')
    library = library_of(cfg)
    if scope not in (None, library.scope):
        raise UserError(
            f'{path} is no config for {scope}: its default_scope is {cfg.get("default_scope")!r}.'
        )
    if library.extra:
        _check_library(path, library)

    check_keys(path, cfg)
    warnings = near_misses(cfg, options or {})
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f'--cfg-options: {error.args[0]}') from error
    if close := _near(str(cfg.get('default_scope', '')), {*LIBRARIES}):
        raise UserError(
            f'There is no library for default_scope={cfg.default_scope!r}. Did you mean {close!r}?'
        )
    for key in _DICTS & cfg.keys():
        if not isinstance(cfg[key], dict | NoneType):
            raise UserError(f'{key} must be a dict; got {cfg[key]!r}.')
    check_numbers(cfg)
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
    hint = near_config(folder, path) if 'configs' in folder.parts else ''
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
                # Of some entries more keys are known than a config has.
                known = {*node, *_UNTYPED.get('.'.join(path[:depth]), ())}
                known |= set() if depth else {*_OTHER_KEYS}
                if close := _near(key, known):
                    best = '.'.join([*path[:depth], close, *path[depth + 1 :]])
                    warnings.append(
                        f'--cfg-options {option} is new to the config. Did you mean {best}?'
                    )
                break
    return warnings


def _near(key: str, known: set[str]) -> str | None:
    """Which known key another one closely resembles; None if it is known or unlike all."""
    if key in known:
        return None
    turned = [name for name in known if sorted(name) == sorted(key)]  # letters that changed places
    return next(iter(turned or difflib.get_close_matches(key, known, 1, 0.85)), None)


def check_keys(path: str, cfg: Config) -> None:
    """See that no key of a config file is nearly one that a run reads.

    Any other key is a variable of the user's, and so is one that the file uses or that has a known
    key as one of its words.

    Raises:
        UserError: Names the key and the one it resembles.
    """
    for part, known in _UNTYPED.items():
        node: Any = cfg._cfg_dict
        for name in filter(None, part.split('.')):
            node = node.get(name) if isinstance(node, dict) else None
        for key in node if isinstance(node, dict) else ():
            close = _near(key, known)
            if close is None or f'_{close}_' in re.sub(r'\d+$', '', f'_{key}') + '_':
                continue
            uses = len(re.findall(rf'\b{re.escape(key)}\b', cfg.text))
            if uses > len(re.findall(rf'^{re.escape(key)}\s*=', cfg.text, re.MULTILINE)) > 0:
                continue
            full, best = (f'{part}.{name}' if part else name for name in (key, close))
            raise UserError(
                f'{path}: nothing reads {full}. Did you mean {best}? If it is a variable of your '
                'own, give it a name that differs more.'
            )
