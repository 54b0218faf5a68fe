"""Draw which tokens a light network keeps, block by block.

From the second attention block on, UniFormer-XXS and XS work on the tokens that rank highest and on
one token for all others. In the picture of an image, dropped tokens are pale. The image goes
through the test pipeline of the config.

Examples:
    python tools/visualization/kept_tokens.py CONFIG CHECKPOINT photo.jpg
    python tools/visualization/kept_tokens.py CONFIG CHECKPOINT folder --out-dir kept
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from draw import Tile, enlarge, save_grid
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image
from torch import Tensor

import uniformer_mm
from uniformer_mm import cli
from uniformer_mm.models.layers import ShrinkingBlock

sys.path.append(str(Path(__file__).resolve().parents[1] / 'inference'))
import common  # noqa: E402  what the tools share that run a model on a user's files

PALE = 0.8  # share of white over a dropped token


def parse_args() -> argparse.Namespace:
    parser = common.make_parser(
        __doc__,
        'a classifier with a light backbone',
        inputs='image or folder of images',
        out_dir='work_dirs/kept_tokens',
    )
    parser.add_argument('--height', type=int, default=160, help='of one image; default: 160')
    parser.add_argument('--width', type=int, default=900, help='of a picture; default: 900')
    return parser.parse_args()


@torch.no_grad()
def kept_tokens(backbone: uniformer_mm.UniFormerLight, inputs: Tensor) -> dict[str, Tensor]:
    """Which tokens each block keeps of one image (1, 3, H, W): its name, and a mask (h, w)."""
    masks: dict[str, Tensor] = {}

    def note(name: str, block: ShrinkingBlock, args: tuple[Tensor, ...]) -> None:
        feature_map, _, score = args
        mask = torch.ones(feature_map.shape[-2:], dtype=torch.bool)
        if score is not None:  # the first block ranks, and keeps all
            mask = torch.zeros_like(score, dtype=torch.bool).scatter(1, block.kept(score), True)
            mask = mask.reshape(feature_map.shape[-2:]).cpu()
        masks[name] = mask

    hooks = [
        block.register_forward_pre_hook(partial(note, f'stage {stage}, block {number}'))
        for stage, blocks in ((3, backbone.blocks3), (4, backbone.blocks4))
        for number, block in enumerate(blocks, 1)
    ]
    try:
        backbone(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return masks


def draw(picture: np.ndarray, mask: Tensor) -> np.ndarray:
    """The picture (H, W, 3) uint8 with pale patches where the mask (h, w) is False."""
    patches = Image.fromarray(mask.numpy()).resize(picture.shape[1::-1], Image.Resampling.NEAREST)
    pale = (PALE * 255 + (1 - PALE) * picture).astype(np.uint8)
    return np.where(np.array(patches)[..., None], picture, pale)


def main() -> None:
    args = parse_args()
    cfg = common.read_config(args, 'mmpretrain')
    images = common.find_files(args.input)
    results = {path: [args.out_dir / f'{path.stem}.png'] for path in images}
    common.refuse_to_overwrite(results, args.overwrite)

    model = cli.build_trained(cfg, args.checkpoint, args.device)
    if not isinstance(model.backbone, uniformer_mm.UniFormerLight):
        raise cli.UserError(
            f'{args.config} has the backbone {type(model.backbone).__name__}, which keeps all '
            'tokens: give a config with uniformer_mm.UniFormerLight.'
        )
    common.make_folders(results)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose(cfg.test_dataloader.dataset.pipeline[1:])  # behind LoadImageFromFile

    def run(path: Path) -> str:
        inputs = pipeline(dict(img=common.read_image(path)))['inputs']
        picture = enlarge(Image.fromarray(inputs.numpy()[::-1].transpose(1, 2, 0)), args.height)
        batch = model.data_preprocessor(dict(inputs=[inputs]))['inputs']
        masks = kept_tokens(model.backbone, batch)
        tiles = [Tile(draw(picture, mask), name, 'black') for name, mask in masks.items()]
        (picture,) = results[path]
        save_grid(tiles, picture, args.width)
        return f'{path} -> {picture}'

    common.run_each(results, run)


if __name__ == '__main__':
    cli.run_tool(main)
