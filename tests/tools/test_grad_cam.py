"""Heat maps of what speaks for a class."""

from pathlib import Path

import grad_cam
import numpy as np
import pytest
import torch
from mmengine.config import Config
from paper_configs import build
from PIL import Image

from uniformer_mm import cli

pytest.importorskip('pytorch_grad_cam')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
TOOL = 'tools/visualization/grad_cam.py'
IMAGES, CLIPS = 'uniformer-mini_1xb32_digits', 'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb'


def networks(name: str, **backbone: object) -> list[grad_cam.Logits]:
    """The model of a config, looked at behind its last two stages."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.backbone.update(backbone, init_cfg=None)
    model = build(cfg.model, cfg.default_scope).eval()
    return [grad_cam.Logits(model, cli.library_of(cfg).task.run, stage) for stage in (2, 3)]


@pytest.mark.parametrize(
    ('name', 'backbone'),
    [
        (IMAGES, {}),
        (IMAGES, dict(stage3_style='hybrid', window_size=3, frozen_stages=4)),
        (IMAGES, dict(stage3_style='window', window_size=3)),
        ('uniformer-mini_token-label_1xb32_digits', {}),
        ('uniformer-light-mini_1xb32_digits', {}),
        (CLIPS, {}),
        (CLIPS, dict(split=True)),
        ('uniformer-light-mini_u16_1xb16_kinetics-digits-rgb', {}),
        ('dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb', {}),
    ],
)
def test_every_backbone_and_style(name: str, backbone: dict) -> None:
    """On inputs that are not square, in the size of the input, and from 0 to 1."""
    for looked in networks(name, **backbone):
        size = (96, 64) if looked.model.backbone.ndim == 2 else (8, 96, 64)
        heat = grad_cam.class_map(looked, torch.randn(1, 3, *size), 1)
        assert heat.shape == size
        assert heat.min() >= 0 and heat.max() == pytest.approx(1, abs=0.1)
        assert not looked.layer._forward_hooks


def test_last_map_is_that_of_the_classifier() -> None:
    """Behind the last norm, Grad-CAM is the classifier's weights on the map of each place."""
    _, looked = networks(IMAGES)
    inputs = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        (feature_map,) = looked.model.backbone(inputs)
        evidence = torch.einsum('c,bchw->bhw', looked.model.head.fc.weight[4], feature_map)
    evidence = evidence[0].clamp_min(0).numpy()
    heat = grad_cam.class_map(looked, inputs, 4)
    # Centers of the patches of the map, between which the heat is interpolated.
    centers = heat.reshape(3, 32, 2, 32)[:, 15:17, :, 15:17].mean((1, 3))
    expected = (evidence - evidence.min()) / (evidence.max() - evidence.min())
    assert np.allclose(centers, expected, atol=0.05)


def test_pictures(random_weights, run_main, images, tmp_path) -> None:
    config = CONFIGS / f'{IMAGES}.py'
    (images / 'notes.txt').unlink()
    args = (TOOL, config, random_weights(config), images, '--out-dir', tmp_path / 'out')
    assert run_main(*args, '--labels', 10) == (
        'error: --labels [10]: the model has the classes 0 to 9.'
    )
    assert run_main(*args, '--labels', 1, 2, '--stages', 3, 4, '--height', 40) == 0
    pictures = sorted((tmp_path / 'out').iterdir())
    assert [picture.name for picture in pictures] == ['12.png', '7.png']
    # The input and two classes on two stages.
    assert Image.open(pictures[0]).width == 5 * (40 + 12) + 12
