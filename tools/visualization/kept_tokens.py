"""Draw which tokens a light network keeps, block by block.

From the second attention block on, UniFormer-XXS and XS work on the tokens that rank highest and on
one token for all others. In the picture of an image, dropped tokens are pale. The image goes
through the test pipeline of the config.

Examples:
    python tools/visualization/kept_tokens.py CONFIG CHECKPOINT photo.jpg
    python tools/visualization/kept_tokens.py CONFIG CHECKPOINT folder --out-dir kept
"""

from functools import partial

import looking
import torch
from draw import Tile, enlarge
from looking import common
from PIL import Image
from torch import Tensor, nn

import uniformer_mm
from uniformer_mm import cli
from uniformer_mm.models.layers import ShrinkingBlock


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


def check(model: nn.Module) -> None:
    """See that there are tokens to drop.

    Raises:
        UserError: If the backbone keeps all.
    """
    if not isinstance(model.backbone, uniformer_mm.UniFormerLight):
        raise cli.UserError(
            f'The backbone {type(model.backbone).__name__} keeps all tokens: give a config with '
            'uniformer_mm.UniFormerLight.'
        )


def main() -> None:
    args = looking.make_parser(
        __doc__,
        'a classifier with a light backbone',
        'work_dirs/kept_tokens',
        inputs='image or folder of images',
    ).parse_args()
    cfg = common.read_config(args, 'mmpretrain')

    def draw(model: nn.Module, sample: looking.Sample) -> list[Tile]:
        picture = enlarge(Image.fromarray(sample.frames[0]), args.height)
        masks = kept_tokens(model.backbone, sample.inputs)
        return [Tile(looking.fade(picture, mask), name, 'black') for name, mask in masks.items()]

    looking.draw_each(args, cfg, check, draw)


if __name__ == '__main__':
    cli.run_tool(main)
