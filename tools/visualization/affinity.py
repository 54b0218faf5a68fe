"""Draw what one token gathers from where, in local and in global blocks of a UniFormer.

The token has a frame; the less a patch counts for it, the paler it is. A local block gathers with
its learnt kernel, a global one with its attention, here the means over channels and heads. Of a
clip, each frame is one of the map's.

Examples:
    python tools/visualization/affinity.py CONFIG CHECKPOINT photo.jpg --blocks 1.1 3.4
    python tools/visualization/affinity.py CONFIG CHECKPOINT dance.mp4 --token 0.5 0.3 0.6
"""

from __future__ import annotations

import argparse

import looking
import numpy as np
from draw import Tile, enlarge, join
from looking import common
from PIL import Image, ImageDraw
from torch import Tensor, nn

from uniformer_mm import UniFormer, cli
from uniformer_mm.analysis.affinity import token_affinity
from uniformer_mm.models.layers import LocalBlock

FRAME = '#e8112d'


def block_number(text: str) -> tuple[int, int]:
    """Stage and block, from 1, of ``STAGE.BLOCK``."""
    stage, block = map(int, text.split('.'))
    if min(stage, block) < 1:
        raise argparse.ArgumentTypeError(f'stages and blocks are counted from 1; got {text}')
    return stage, block


def check(model: nn.Module, blocks: list[tuple[int, int]]) -> None:
    """See that the blocks are there.

    Raises:
        UserError: If not, or the backbone is no UniFormer.
    """
    backbone = model.backbone
    if not isinstance(backbone, UniFormer):
        raise cli.UserError(
            f'The backbone {type(backbone).__name__} is no UniFormer: its blocks gather otherwise.'
        )
    depths = backbone.arch.depths[: backbone.num_stages]
    for stage, block in blocks:
        if stage > len(depths) or block > depths[stage - 1]:
            raise cli.UserError(
                f'--blocks {stage}.{block}: the stages of {type(backbone).__name__} have '
                f'{", ".join(map(str, depths))} blocks.'
            )


def draw_shares(
    frames: np.ndarray, shares: Tensor, token: tuple[int, ...], height: int
) -> np.ndarray:
    """Frames (T, H, W, 3) under the shares (t, h, w), with the token's frame drawn in."""
    parts = []
    for number in sorted({*looking.some_frames(len(shares)), token[0]}):
        picture = enlarge(Image.fromarray(frames[number * len(frames) // len(shares)]), height)
        picture = looking.fade(picture, shares[number] / shares.max())
        if number == token[0]:
            picture = Image.fromarray(picture)
            sides = np.divide(picture.size[::-1], shares.shape[1:])
            top, left = sides * token[1:]
            bottom, right = sides * np.add(token[1:], 1)
            pen = ImageDraw.Draw(picture)
            pen.rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=2)
            picture = np.asarray(picture)
        parts.append(picture)
    return join(parts)


def main() -> None:
    parser = looking.make_parser(__doc__, 'a classifier or recognizer', 'work_dirs/affinity')
    parser.add_argument(
        '--blocks',
        type=block_number,
        nargs='+',
        default=[(1, 1), (3, 1)],
        metavar='STAGE.BLOCK',
        help='counted from 1; default: 1.1 3.1',
    )
    parser.add_argument(
        '--token',
        type=float,
        nargs='+',
        metavar='SHARE',
        help='where it is, from 0 to 1: down and right; of a clip time before them; default: 0.5',
    )
    args = parser.parse_args()
    cfg = common.read_config(args)

    def draw(model: nn.Module, sample: looking.Sample) -> list[Tile]:
        backbone = model.backbone
        place = args.token or [0.5] * backbone.ndim
        tiles = []
        for stage, block in args.blocks:
            try:
                found = token_affinity(backbone, sample.inputs, stage - 1, block - 1, place)
            except ValueError as error:
                raise cli.UserError(f'--blocks {stage}.{block}, --token: {error}.') from error
            shares, token = found
            if backbone.ndim == 2:
                shares, token = shares[None], (0, *token)
            picture = draw_shares(sample.frames, shares.cpu(), token, args.height)
            layer = backbone.layers(stage - 1)[block - 1]
            kind = 'local' if isinstance(layer, LocalBlock) else 'global'
            kind = 'window' if getattr(layer, 'window_size', 0) else kind
            tiles.append(Tile(picture, f'block {stage}.{block}: {kind}', 'black'))
        return tiles

    looking.draw_each(args, cfg, lambda model: check(model, args.blocks), draw)


if __name__ == '__main__':
    cli.run_tool(main)
