"""What the tools share that show on a user's images and clips what a network does with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from draw import FRAMES, Tile, save_grid
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from PIL import Image
from torch import Tensor, nn

from uniformer_mm import cli

sys.path.append(str(Path(__file__).resolve().parents[1] / 'inference'))
import classify  # noqa: E402
import classify_video  # noqa: E402
import common  # noqa: E402  what the tools share that run a model on a user's files

PALE = 0.8  # share of white over what counts for nothing


class Sample(NamedTuple):
    """What a network gets of one file.

    Attributes:
        inputs: Normalised, (1, 3, H, W), or (1, 3, T, H, W) of a clip.
        frames: The same to look at, (1 or T, H, W, 3) uint8 RGB.
    """

    inputs: Tensor
    frames: np.ndarray


def make_parser(
    description: str, model: str, out_dir: str, inputs: str = 'image, video, or folder of them'
) -> argparse.ArgumentParser:
    """A parser with the arguments of all such tools; see ``common.make_parser``."""
    parser = common.make_parser(description, model, out_dir, inputs=inputs)
    parser.add_argument('--height', type=int, default=160, help='of one image; default: 160')
    parser.add_argument('--width', type=int, default=900, help='of a picture; default: 900')
    return parser


def read_image(inferencer: BaseInferencer, path: Path) -> Sample:
    """An image as a classifier of mmpretrain gets it in its test."""
    image = inferencer.pipeline(dict(img=common.read_image(path)))['inputs']  # BGR
    inputs = inferencer.model.data_preprocessor(dict(inputs=[image]))['inputs']
    return Sample(inputs, image.numpy()[None, ::-1].transpose(0, 2, 3, 1))


def read_clip(inferencer: BaseInferencer, path: Path) -> Sample:
    """The middle one of the clips that a recognizer of mmaction2 gets in its test."""
    common.check_file(path)
    data = inferencer.pipeline(str(path))
    clip = data['inputs'][len(data['inputs']) // 2]
    batch = dict(inputs=[clip], data_samples=[data['data_samples']])
    inputs = inferencer.model.data_preprocessor(batch)['inputs']
    return Sample(inputs, clip.numpy().transpose(1, 2, 3, 0))


class Kind(NamedTuple):
    """The files of a library: their kind, and what builds the inferencer and reads a file."""

    files: str
    build: Callable[[Config, argparse.Namespace], BaseInferencer]
    read: Callable[[BaseInferencer, Path], Sample]


# By the config's default_scope.
KINDS = dict(
    mmpretrain=Kind('image', classify.build_inferencer, read_image),
    mmaction=Kind('video', classify_video.build_inferencer, read_clip),
)


def draw_each(
    args: argparse.Namespace,
    cfg: Config,
    check: Callable[[nn.Module], None],
    draw: Callable[[nn.Module, Sample], list[Tile]],
) -> None:
    """Write a picture of each of the user's files.

    Args:
        args: What :func:`make_parser` parsed.
        cfg: The config that it names.
        check: Called with the model; raises a UserError if it is not one of the right kind.
        draw: What to draw of one file.

    Raises:
        UserError: If the config is for another library, or as of ``common.run_each``.
    """
    if cfg.get('default_scope') not in KINDS:
        raise cli.UserError(
            f'{args.config} is for {cfg.get("default_scope")}: expected a classifier of mmpretrain '
            'or a recognizer of mmaction.'
        )
    kind = KINDS[cfg.default_scope]
    inputs = common.find_inputs(args.input, kind.files)
    results = {path: [args.out_dir / f'{path.stem}.png'] for path in inputs}
    common.refuse_to_overwrite(results, args.overwrite)
    inferencer = kind.build(cfg, args)
    check(inferencer.model)

    def run(path: Path, *_: object) -> str:
        tiles = draw(inferencer.model, kind.read(inferencer, path))
        (picture,) = results[path]
        save_grid(tiles, picture, args.width)
        return f'{path} -> {picture}'

    common.run_each(results, run)


def some_frames(count: int) -> range:
    """Numbers of at most ``FRAMES`` frames of a clip, equally far from each other."""
    return range(0, count, -(-count // FRAMES))


def fade(picture: np.ndarray, shares: Tensor) -> np.ndarray:
    """The picture (H, W, 3) uint8 under white, the more the less a patch of (h, w) has in 0..1."""
    patches = Image.fromarray(shares.float().cpu().numpy())
    patches = np.array(patches.resize(picture.shape[1::-1], Image.Resampling.NEAREST))
    white = PALE * (1 - patches[..., None])
    return (white * 255 + (1 - white) * picture).astype(np.uint8)
