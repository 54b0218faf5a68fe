"""What the tools that run one model on a user's files share."""

import argparse
import errno
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from torch import nn

from uniformer_mm import cli
from uniformer_mm.checkpoints import load_model, through_safe_reader
from uniformer_mm.datasets.transforms.image_check import check_pixels
from uniformer_mm.engine import fold_backbone

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
# What is wrong with the place of a result, and will be with that of the next.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR)
# The files that become of each input.
Results = dict[Path, list[Path]]
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def make_parser(
    description: str, model: str, inputs: str, out_dir: str, predictions: str | None = None
) -> argparse.ArgumentParser:
    """A parser with the arguments of all such tools.

    Args:
        description: Help text of the tool.
        model: What the config must be of, such as ``'a detector'``.
        inputs: What may be given as input.
        out_dir: Default folder of the results.
        predictions: What ``--save-predictions`` writes. Defaults to None, for no such option.
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
    if predictions is not None:
        parser.add_argument(
            '--save-predictions', action='store_true', help=f'also write {predictions}'
        )
    cli.add_fast_option(parser)
    cli.add_options(parser)
    return parser


def read_config(args: argparse.Namespace, scope: str | None = None) -> Config:
    """The config, after a look at the checkpoint's header, before the model is built.

    Args:
        args: What :func:`make_parser` parsed.
        scope: The library that the config must be for. Defaults to any.

    Raises:
        UserError: If the config is not for library ``scope``, or the checkpoint is damaged.
    """
    cfg, warnings = cli.load_config(args.config, args.cfg_options, scope)
    for warning in warnings:
        print(warning, file=sys.stderr)
    cli.peek_checkpoint(args.checkpoint)
    return cfg


def find_files(path: Path, extensions: Sequence[str] = IMAGES, kind: str = 'image') -> list[Path]:
    """The file itself, or what a folder has with these extensions in the order of the names.

    Other entries of the folder are counted on standard error; folders in it are not entered.

    Raises:
        UserError: If there is none, or the folder cannot be read.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise cli.UserError(f'There is no {kind} or folder {path}.')
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise cli.UserError(f'{path} cannot be read: {error.strerror}.') from error
    files = [entry for entry in entries if entry.suffix.lower() in extensions]
    if not files:
        raise cli.UserError(f'{path} holds no {kind} ({", ".join(extensions)}).')
    if others := [entry for entry in entries if entry not in set(files)]:
        folders = sum(entry.is_dir() for entry in others)
        print(
            f'{path}: left out are {folders} folders and {len(others) - folders} other entries.',
            file=sys.stderr,
        )
    return files


def make_folders(results: Results) -> None:
    """Make the folders of results and see that files can be written there.

    Raises:
        UserError: If one cannot be used.
    """
    for folder in dict.fromkeys(file.parent for files in results.values() for file in files):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise cli.UserError(f'{folder} cannot be written to: {error.strerror}.') from error


def refuse_to_overwrite(results: Results, overwrite: bool) -> None:
    """Stop before any work if a result is there already, or two results would be one file.

    Raises:
        UserError: Names the first such file.
    """
    seen = set()
    for result in (file for files in results.values() for file in files):
        if result in seen:
            raise cli.UserError(f'Two of the inputs would be written to {result}: rename one.')
        seen.add(result)
        if result.exists() and not overwrite:
            raise cli.UserError(f'{result} exists already; add --overwrite to replace it.')


def check_file(path: Path) -> None:
    """See that there is a file with something in it.

    Raises:
        OSError: If not; says what is there.
    """
    if path.is_symlink() and not path.exists():
        raise OSError(f'a link to {path.readlink()}, which does not exist')
    if not path.is_file():
        raise OSError('a folder' if path.is_dir() else 'no file')
    if path.stat().st_size == 0:
        raise OSError('the file is empty')


def read_image(path: Path) -> np.ndarray:
    """Pixels (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it cannot be read, or not all of it.
    """
    check_file(path)
    check_pixels(path)
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise OSError('damaged, or no image')
    return pixels


def run_each(results: Results, run: Callable[[Path], str], kind: str = 'images') -> None:
    """Run something on every input and print what it returns; go on where one cannot be used.

    What was begun of the results of such an input is taken away.

    Args:
        results: Inputs and their results.
        run: Raises any error if the file cannot be used.
        kind: What the inputs are.

    Raises:
        UserError: At the end, lists those that were skipped; at once if results cannot be written.
    """
    skipped = []
    for path, files in results.items():
        new = [file for file in files if not file.exists()]
        try:
            print(run(path), flush=True)
        except Exception as error:  # decoders and networks fail in many ways
            for file in new:
                file.unlink(missing_ok=True)
            if isinstance(error, cli.UserError):
                raise
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                raise cli.UserError(f'The results of {path} cannot be written: {error}.') from error
            if cli.debugging():
                traceback.print_exc()
            skipped.append(f'{path}: {reason(error)}')
    if skipped:
        raise cli.UserError(
            f'{len(skipped)} of {len(results)} {kind} were skipped:\n  ' + '\n  '.join(skipped)
        )


def reason(error: Exception) -> str:
    """What an error says, in one line; its type where that is not plain."""
    line = next((line for line in str(error).splitlines() if line.strip()), '').strip()
    if line and type(error) is OSError:
        return line
    return f'{type(error).__name__}: {line}' if line else type(error).__name__


def load(
    inferencer: type[BaseInferencer], cfg: Config, args: argparse.Namespace, **kwargs: Any
) -> BaseInferencer:
    """A library's inferencer, but weights that do not fit are refused, not left out.

    Classes of official Kinetics files are numbered as the config's ``CheckpointGuardHook`` says.
    Its ``allow_new_head`` is for fine-tuning and plays no part: an untrained head tells nothing.

    Args:
        inferencer: The library's class.
        cfg: Its config.
        args: What :func:`make_parser` parsed.
        **kwargs: Arguments of the class.
    """

    class StrictInferencer(inferencer):
        def _init_model(self, cfg: Config, weights: str, device: str) -> nn.Module:
            return super()._init_model(cfg, through_safe_reader(weights), device)

        def _load_weights_to_model(self, model: nn.Module, weights: dict, cfg: Config) -> None:
            guard = cfg.get('default_hooks', {}).get('checkpoint_guard') or {}
            load_model(model, weights, args.checkpoint, class_order=guard.get('class_order'))
            super()._load_weights_to_model(model, weights, cfg)

    cfg.model.backbone.init_cfg = None  # the checkpoint has all weights
    if 'visualizer' in cfg:
        cfg.visualizer.vis_backends = None  # the tools and inferencers write the pictures
    model = StrictInferencer(cfg, args.checkpoint, device=args.device, **kwargs)
    model.show_progress = False
    if args.fast is not None:
        fold_backbone(model.model, **args.fast)
    return model
