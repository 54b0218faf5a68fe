"""What the tools that run one model on a user's files share."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from torch import nn

from uniformer_mm import cli
from uniformer_mm.checkpoints import load_model, through_safe_reader

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
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
    cli.add_options(parser)
    return parser


def read_config(args: argparse.Namespace, scope: str) -> Config:
    """The config, after a look at the checkpoint's header, before the model is built.

    Raises:
        UserError: If the config is not for library ``scope``, or the checkpoint is damaged.
    """
    cfg, warnings = cli.load_config(args.config, args.cfg_options, scope)
    for warning in warnings:
        print(warning, file=sys.stderr)
    cli.peek_checkpoint(args.checkpoint)
    return cfg


def find_files(path: Path, extensions: Sequence[str] = IMAGES, kind: str = 'image') -> list[Path]:
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


def refuse_to_overwrite(results: Iterable[Path], overwrite: bool) -> None:
    """Stop before any work if a result is there already, or two results would be one file.

    Raises:
        UserError: Names the first such file.
    """
    seen = set()
    for result in results:
        if result in seen:
            raise cli.UserError(f'Two of the inputs would be written to {result}: rename one.')
        seen.add(result)
        if result.exists() and not overwrite:
            raise cli.UserError(f'{result} exists already; add --overwrite to replace it.')


def read_image(path: Path) -> np.ndarray:
    """Pixels (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it cannot be read.
    """
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise OSError('damaged, or no image')
    return pixels


def run_each(inputs: Sequence[Path], run: Callable[[Path], str], kind: str = 'images') -> None:
    """Run something on every input and print what it returns; go on where one cannot be read.

    Args:
        inputs: Files.
        run: Raises OSError if the file cannot be read.
        kind: What the inputs are.

    Raises:
        UserError: At the end, lists those that could not be read.
    """
    skipped = []
    for path in inputs:
        try:
            print(run(path), flush=True)
        except OSError as error:
            skipped.append(f'{path}: {error}')
    if skipped:
        raise cli.UserError(
            f'{len(skipped)} of {len(inputs)} {kind} were skipped:\n  ' + '\n  '.join(skipped)
        )


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

    if 'visualizer' in cfg:
        cfg.visualizer.vis_backends = None  # the tools and inferencers write the pictures
    model = StrictInferencer(cfg, args.checkpoint, device=args.device, **kwargs)
    model.show_progress = False
    return model
