"""What the tools that run one model on a user's files share."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.infer import BaseInferencer
from torch import nn

from uniformer_mm import cli
from uniformer_mm.engine import CheckpointGuardHook
from uniformer_mm.cli.runtime import type_name

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def make_parser(description: str, model: str, inputs: str, out_dir: str) -> argparse.ArgumentParser:
    """A parser with the arguments of all such tools.

    Args:
        description: Help text of the tool.
        model: What the config must be of, such as ``'a detector'``.
        inputs: What may be given as input.
        out_dir: Default folder of the results.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help=f'config file of {model}')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument('input', type=Path, help=inputs)
    parser.add_argument('--out-dir', type=Path, default=Path(out_dir), help='default: %(default)s')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace results that are there already'
    )
    parser.add_argument('--device', help='e.g. cpu or cuda:1; default: a GPU if there is one')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=cli.OptionAction,
        default={},
        metavar='KEY=VALUE',
        help='change entries of the config',
    )
    return parser


def read_config(args: argparse.Namespace, scope: str) -> Config:
    """The config and the checkpoint's header, checked before the model is built.

    Raises:
        UserError: If the config is not for library ``scope``, or the checkpoint is damaged.
    """
    cfg, _ = cli.load_config(args.config, args.cfg_options)
    if cfg.get('default_scope') != scope:
        raise cli.UserError(
            f'{args.config} is no config for {scope}: its default_scope is '
            f'{cfg.get("default_scope")!r}.'
        )
    cli.peek_checkpoint(args.checkpoint)
    return cfg


def find_files(path: Path, extensions: tuple[str, ...] = IMAGES, kind: str = 'image') -> list[Path]:
    """The file itself, or the files of a folder with these extensions in the order of their names.

    Raises:
        UserError: If there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise cli.UserError(f'There is no {kind} or folder {path}.')
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in extensions)
    if not files:
        raise cli.UserError(f'{path} holds no {kind} ({", ".join(extensions)}).')
    return files


def refuse_to_overwrite(results: list[Path], overwrite: bool) -> None:
    """Stop before any work if a result is there already, or two results would be one file.

    Raises:
        UserError: Names the first such file.
    """
    for i, result in enumerate(results):
        if result in results[:i]:
            raise cli.UserError(f'Two of the inputs would be written to {result}: rename one.')
        if result.exists() and not overwrite:
            raise cli.UserError(f'{result} exists already; add --overwrite to replace it.')


def report_skipped(skipped: list[str], total: int, kind: str = 'images') -> None:
    """End with an error if some of ``total`` inputs could not be read.

    Raises:
        UserError: Lists them.
    """
    if skipped:
        raise cli.UserError(
            f'{len(skipped)} of {total} {kind} were skipped:\n  ' + '\n  '.join(skipped)
        )


def strict(inferencer: type[BaseInferencer], source: str) -> type[BaseInferencer]:
    """A library's inferencer, but weights that do not fit are refused, not left out.

    Classes of official Kinetics files are numbered as the config's ``CheckpointGuardHook`` says.
    Its ``allow_new_head`` is for fine-tuning and plays no part: an untrained head tells nothing.

    Args:
        inferencer: The library's class.
        source: Name of the checkpoint, for messages.
    """

    class StrictInferencer(inferencer):
        def _load_weights_to_model(self, model: nn.Module, weights: dict, cfg: Config) -> None:
            hooks = {type_name(hook): hook for hook in cfg.get('custom_hooks') or []}
            class_order = hooks.get('CheckpointGuardHook', {}).get('class_order')
            CheckpointGuardHook(class_order=class_order).load(model, weights, source)
            super()._load_weights_to_model(model, weights, cfg)

    return StrictInferencer
