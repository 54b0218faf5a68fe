"""Draw what in an image or a clip speaks for a class, with Grad-CAM.

``pytorch-grad-cam`` (the extra ``cam``) makes the heat maps, here on the map that a stage
hands on: of the last stage behind its norm, where what the map says of the class is added up over
its places; of others behind their last block. All backbones of this project have such maps,
whatever their blocks are and however they attend.

Examples:
    python tools/visualization/grad_cam.py CONFIG CHECKPOINT photo.jpg
    python tools/visualization/grad_cam.py CONFIG CHECKPOINT folder --stages 3 4 --labels 7 8
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import looking
import numpy as np
import torch
from draw import Tile, enlarge, join
from looking import common
from PIL import Image
from torch import Tensor, nn

from uniformer_mm import cli
from uniformer_mm.models.backbones import StagedBackbone


class Logits(nn.Module):
    """A model of an OpenMMLab library as the network from inputs to logits that Grad-CAM takes.

    Args:
        model: The model, whose backbone is one of this project's.
        run: Gives the logits of a batch of one.
        stage: 0-based stage whose map goes through :attr:`tap`.
    """

    def __init__(
        self, model: nn.Module, run: Callable[[nn.Module, Tensor], Tensor], stage: int
    ) -> None:
        super().__init__()
        self.model, self.run = model, run
        self.tap = nn.Identity()
        self.layer = model.backbone.layers(stage)[-1]

    def forward(self, x: Tensor) -> Tensor:
        with self.layer.register_forward_hook(self._through_tap):
            return self.run(self.model, x)

    def _through_tap(self, layer: nn.Module, args: tuple, out: Any) -> Any:
        # The blocks of light networks give a class token and scores beside their map.
        return self.tap(out) if isinstance(out, Tensor) else (self.tap(out[0]), *out[1:])


def class_map(network: Logits, inputs: Tensor, label: int) -> np.ndarray:
    """What speaks for a class in a batch of one (1, 3, \\*S): (\\*S), from 0 to 1."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    # Gradients reach the tap even where all weights before it are frozen.
    cam = GradCAM(network, [network.tap])
    cam.compute_input_gradient = True
    return cam(inputs, [ClassifierOutputTarget(label)])[0]


def draw_heat(frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A heat map (H, W) in 0..1 over a picture (H, W, 3) uint8."""
    from pytorch_grad_cam.utils.image import show_cam_on_image

    return show_cam_on_image(frame / np.float32(255), heat, use_rgb=True)


def check(model: nn.Module) -> None:
    """See that the maps can be made.

    Raises:
        UserError: If the backbone is not one of this project, or pytorch-grad-cam is missing.
    """
    if find_spec('pytorch_grad_cam') is None:
        raise cli.UserError('Heat maps need pytorch-grad-cam: pip install -e ".[cam]"')
    if not isinstance(model.backbone, StagedBackbone):
        raise cli.UserError(
            f'The backbone {type(model.backbone).__name__} is none of uniformer_mm: its stages are '
            'not known.'
        )


def draw_maps(
    model: nn.Module,
    run: Callable[[nn.Module, Tensor], Tensor],
    sample: looking.Sample,
    stages: Sequence[int],
    labels: Sequence[int] | None = None,
    height: int = 160,
) -> list[Tile]:
    """A file as the network gets it, and under the heat of every class and stage.

    Args:
        model: A classifier or recognizer that :func:`check` has seen.
        run: Gives the logits of a batch of one.
        sample: The file.
        stages: Stages to look behind, from 1.
        labels: Classes. Defaults to the predicted one.
        height: Of an image, in pixels. Defaults to 160.

    Raises:
        UserError: If there is no such class.
    """
    with torch.no_grad():
        (probabilities,) = run(model, sample.inputs).softmax(1)
    labels = labels or [int(probabilities.argmax())]
    if not {*labels} <= {*range(len(probabilities))}:
        raise cli.UserError(
            f'--labels {labels}: the model has the classes 0 to {len(probabilities) - 1}.'
        )

    def tile(frames: np.ndarray, caption: str) -> Tile:
        chosen = [Image.fromarray(frames[i]) for i in looking.some_frames(len(frames))]
        return Tile(join([enlarge(image, height) for image in chosen]), caption, 'black')

    tiles = [tile(sample.frames, 'input')]
    for label, stage in itertools.product(labels, stages):
        heat = class_map(Logits(model, run, stage - 1), sample.inputs, label)
        heat = heat.reshape(sample.frames.shape[:-1])
        hot = np.stack([draw_heat(*pair) for pair in zip(sample.frames, heat, strict=True)])
        share = f'{100 * probabilities[label]:.0f} %'
        tiles.append(tile(hot, f'{label} ({share}), stage {stage}'))
    return tiles


def main() -> None:
    parser = looking.make_parser(__doc__, 'a classifier or recognizer', 'work_dirs/grad_cam')
    parser.add_argument(
        '--stages', type=int, nargs='+', choices=(1, 2, 3, 4), default=[4], help='default: 4'
    )
    parser.add_argument(
        '--labels', type=int, nargs='+', help='numbers of classes; default: the predicted one'
    )
    args = parser.parse_args()
    cfg = common.read_config(args)
    run = cli.library_of(cfg).task.run

    def draw(model: nn.Module, sample: looking.Sample) -> list[Tile]:
        return draw_maps(model, run, sample, args.stages, args.labels, args.height)

    looking.draw_each(args, cfg, check, draw)


if __name__ == '__main__':
    cli.run_tool(main)
