"""What the ImageNet configs build, and that they train and test; what they say is a recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from paper_configs import (
    build_model,
    built_model,
    check_training,
    leaves,
    read_config,
    slow_unless,
    weight_decay,
)
from PIL import Image
from small_runs import make_runner, stop_workers
from torch import nn

LEAVES = leaves('imagenet')
SMALL = 'imagenet/uniformer-small_8xb128_in1k'
# Head dimension, which no shape tells, and the stages with layer scale.
SPECIAL = {
    'uniformer-tiny_8xb128_in1k': (32, {'blocks1', 'blocks2', 'blocks3', 'blocks4'}),
    'uniformer-small-plus_8xb128_in1k': (32, set()),
    'uniformer-base-ls_8xb128_in1k': (64, {'blocks3', 'blocks4'}),
}
every_leaf = pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)


@every_leaf
def test_head_dim_and_layer_scale(path) -> None:
    head_dim, scaled = SPECIAL.get(path.stem, (64, set()))
    model = built_model(path)
    assert model.backbone.arch.head_dim == head_dim
    gammas = {name.split('.')[1] for name, _ in model.named_parameters() if 'gamma' in name}
    assert gammas == scaled


def test_initial_values() -> None:
    model = build_model(read_config('imagenet/uniformer-base-ls_8xb128_in1k'))
    model.init_weights()
    assert model.head.fc.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not model.head.fc.bias.any()
    gammas = [p for name, p in model.named_parameters() if 'gamma' in name]
    assert all(gamma.unique().item() == pytest.approx(1e-6) for gamma in gammas)


def test_crop_and_erasing_defaults_are_the_recipe() -> None:
    from mmpretrain.registry import TRANSFORMS

    pipeline = read_config(SMALL).train_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = [TRANSFORMS.build(step) for step in pipeline]
    assert steps[1].crop_ratio_range == (0.08, 1.0)
    assert steps[1].aspect_ratio_range == pytest.approx((3 / 4, 4 / 3))
    assert steps[4].area_range == pytest.approx((0.02, 1 / 3))
    assert steps[4].aspect_range == pytest.approx((0.3, 1 / 0.3))


@every_leaf
def test_weight_decay_of_every_parameter(path) -> None:
    """timm's split for the authors' recipe, OpenMixup's for its own model."""
    model = built_model(path)
    norms = {
        f'{name}.weight'
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
    }
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name, decay in weight_decay(model, read_config(path)).items():
        if 'tiny' in path.stem:
            is_free = name.endswith('.bias') or name in norms or '.pos_embed.' in name
        else:
            is_free = name.endswith('.bias') or len(shapes[name]) == 1
        assert decay == (0 if is_free else 0.05), name


def test_weight_decay_group_sizes() -> None:
    """Counted by hand from the block structure of small: 18 blocks of 7 or 5 decayed tensors."""
    decay = weight_decay(built_model(SMALL), read_config(SMALL))
    # Local: DPE, conv1, conv2, attn, fc1, fc2. Global: DPE, qkv, proj, fc1, fc2. 4 embeds, 1 head.
    assert sum(value > 0 for value in decay.values()) == 7 * 6 + 11 * 5 + 4 + 1


@pytest.fixture(scope='module')
def image_folder(tmp_path_factory) -> Path:
    """Images of different sizes in ImageNet's layout, with lists of them."""
    root = tmp_path_factory.mktemp('imagenet')
    rng = np.random.default_rng(0)
    (root / 'meta').mkdir()
    for split in ('train', 'val'):
        folder = root / split / 'n01440764'
        folder.mkdir(parents=True)
        lines = []
        for i, size in enumerate([(260, 240, 3), (120, 300, 3), (500, 375, 3), (224, 224, 3)]):
            pixels = rng.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f'{i}.JPEG')
            lines.append(f'n01440764/{i}.JPEG {i * 300}')
        (root / 'meta' / f'{split}.txt').write_text('\n'.join(lines) + '\n')
    return root


@pytest.mark.parametrize('path', slow_unless({'uniformer-tiny_8xb128_in1k'}, LEAVES))
def test_trains_and_tests(path: Path, image_folder: Path, tmp_path: Path) -> None:
    """One epoch of two steps through the whole recipe, in float32; then validation and test."""
    cfg = read_config(path)
    cfg.custom_hooks[0].momentum = 0.5
    cfg.train_cfg.max_epochs = 1
    cfg.train_dataloader.sampler.round_to = 4
    stop_workers(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 2
        loader.dataset.data_root = str(image_folder)
    runner = make_runner(cfg, tmp_path)
    assert len(runner.train_dataloader) == 2
    check_training(runner, steps=2)
    assert torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['ema_state_dict']
    assert 0 <= runner.test()['accuracy/top1'] <= 100
