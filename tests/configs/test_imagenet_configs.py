"""What the ImageNet configs build, and that they train and test; what they say is a recipe."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from paper_configs import (
    build_model,
    built_model,
    check_training,
    learning_rates,
    leaves,
    read_config,
    slow_unless,
    weight_decay,
)
from PIL import Image, ImageEnhance, ImageOps
from small_data import make_label_maps
from small_runs import make_runner, stop_workers
from weight_layouts import to_openmixup

from uniformer_mm.checkpoints import parse_checkpoint, to_official

LEAVES = leaves('imagenet')
SMALL = 'imagenet/uniformer-small_8xb128_in1k'
XS, XXS = 'uniformer-xs_8xb512_in1k-224px', 'uniformer-xxs_8xb512_in1k-128px'
TL, TL_L = (f'uniformer-{size}_token-label_8xb128_in1k' for size in ('small', 'large'))
TL_384 = 'uniformer-small_token-label_8xb64_in1k-384px'
# Head dimension, which no shape tells, and the stages with layer scale.
EVERY_STAGE = {'blocks1', 'blocks2', 'blocks3', 'blocks4'}
SPECIAL = {
    'uniformer-tiny_8xb128_in1k': (32, EVERY_STAGE),
    'uniformer-small-plus_8xb128_in1k': (32, set()),
    'uniformer-base-ls_8xb128_in1k': (64, {'blocks3', 'blocks4'}),
    **{path.stem: (28, set()) for path in LEAVES if '-xxs_' in path.stem},
    **{path.stem: (32, set()) for path in LEAVES if '-xs_' in path.stem},
    **{path.stem: (32, set()) for path in LEAVES if '_token-label_' in path.stem},
    **{path.stem: (64, set()) for path in LEAVES if '-dim64_' in path.stem},
    **{path.stem: (64, EVERY_STAGE) for path in LEAVES if re.search('-large_|-openm', path.stem)},
    'uniformer-small-plus-openmixup_8xb128_in1k': (32, EVERY_STAGE),
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


@pytest.mark.parametrize('name', [SMALL, f'imagenet/{TL}'])
def test_crop_and_erasing_defaults_are_the_recipe(name) -> None:
    from mmpretrain.registry import TRANSFORMS

    pipeline = read_config(name).train_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = [TRANSFORMS.build(step) for step in pipeline]
    crop = next(step for step in steps if hasattr(step, 'crop_ratio_range'))
    assert crop.crop_ratio_range == (0.08, 1.0)
    assert crop.aspect_ratio_range == pytest.approx((3 / 4, 4 / 3))
    erasing = next(step for step in steps if hasattr(step, 'area_range'))
    assert erasing.area_range == pytest.approx((0.02, 1 / 3))
    assert erasing.aspect_range == pytest.approx((0.3, 1 / 0.3))


# Patterns of OpenMixup's names of the parameters that it does not decay, and one more of its S.
FREE = r'(bn|ln|gn)(\d+)?.(weight|bias)|norm|bias|pos_embed'
OPENMIXUP = {'uniformer-tiny_8xb128_in1k': FREE} | {
    path.stem: f'{FREE}|gamma' if '-small-openm' in path.stem else FREE
    for path in LEAVES
    if 'openmixup' in path.stem
}


@every_leaf
def test_weight_decay_of_every_parameter(path) -> None:
    """timm's split for the authors' recipe, OpenMixup's for its own."""
    model, cfg = built_model(path), read_config(path)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    for name, decay in weight_decay(model, cfg).items():
        if path.stem in OPENMIXUP:
            theirs = to_openmixup(name.removeprefix('backbone.'))
            is_free = re.search(OPENMIXUP[path.stem], theirs) is not None
        else:
            is_free = name.endswith(('.bias', '.cls_token')) or len(shapes[name]) == 1
        assert decay == (0 if is_free else cfg.optim_wrapper.optimizer.weight_decay), name


def test_weight_decay_group_sizes() -> None:
    """Counted by hand from the block structure of small: 18 blocks of 7 or 5 decayed tensors."""
    decay = weight_decay(built_model(SMALL), read_config(SMALL))
    # Local: DPE, conv1, conv2, attn, fc1, fc2. Global: DPE, qkv, proj, fc1, fc2. 4 embeds, 1 head.
    assert sum(value > 0 for value in decay.values()) == 7 * 6 + 11 * 5 + 4 + 1


def timm_rate(t: int, peak: float, length: int, warmup: int, floor: float = 1e-5) -> float:
    """timm's cosine with warm-up and cool-down at step ``t``."""
    if t < warmup:
        return 1e-6 + t * (peak - 1e-6) / warmup
    return floor + (peak - floor) * (1 + math.cos(math.pi * min(t, length) / length)) / 2


@pytest.mark.parametrize(
    ('name', 'epochs', 'expected'),
    [
        # The authors' plain scripts pass the number of the epoch just finished.
        (XS, 600, lambda epoch: timm_rate(max(epoch - 1, 0), 4e-3, 600, 30)),
        (XXS, 600, lambda epoch: timm_rate(max(epoch - 1, 0), 3.2e-3, 600, 30)),
        (TL, 310, lambda epoch: timm_rate(epoch, 1.6e-3, 300, 5)),
        (TL_L, 310, lambda epoch: timm_rate(epoch, 1.2e-3, 300, 5)),
        (TL_384, 60, lambda epoch: 5e-6),
    ],
)
def test_learning_rate_of_every_epoch(name, epochs, expected) -> None:
    cfg = read_config(f'imagenet/{name}')
    assert cfg.train_cfg.max_epochs == epochs
    rates = learning_rates(cfg, epochs)
    assert rates == pytest.approx([expected(epoch) for epoch in range(epochs)], rel=1e-9)


def warp(image: Image.Image, *matrix: float) -> Image.Image:
    """As timm does: ``matrix`` leads from a place in the outcome to one in ``image``."""
    kind, resample = Image.Transform.AFFINE, Image.Resampling.BICUBIC
    return image.transform(image.size, kind, matrix, resample, fillcolor=(124, 116, 104))


# timm's operations, and what they do with the values of the table.
OPERATIONS: dict[str, Callable[..., Image.Image]] = {
    'AutoContrast': ImageOps.autocontrast,
    'Equalize': ImageOps.equalize,
    'Invert': ImageOps.invert,
    'Posterize': lambda image, bits: image.point(lambda v: v >> (8 - bits) << (8 - bits)),
    'Solarize': lambda image, value: image.point(lambda v: v if v < value else 255 - v),
    'SolarizeAdd': lambda image, value: image.point(lambda v: v + value if v < 128 else v),
    'Color': lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    'Rotate': lambda image, angle: image.rotate(
        angle, Image.Resampling.BICUBIC, fillcolor=(124, 116, 104)
    ),
    'ShearX': lambda image, ratio: warp(image, 1, ratio, 0, 0, 1, 0),
    'ShearY': lambda image, ratio: warp(image, 1, 0, 0, ratio, 1, 0),
    'TranslateY': lambda image, ratio: warp(image, 1, 0, 0, 0, 1, ratio * image.height),
}
# Those that go one way or the other.
DIRECTED = ('Rotate', 'ShearX', 'ShearY', 'TranslateY')


def test_autoaugment_is_timms() -> None:
    """The 25 pairs of AutoAugment v0, each operation beside Pillow's with the converted value."""
    from mmpretrain.registry import TRANSFORMS

    stated = json.loads((Path(__file__).parents[1] / 'data/autoaugment_v0.json').read_text())
    pairs = read_config(f'imagenet/{XXS}').train_dataloader.dataset.pipeline[3].policies
    assert len(pairs) == len(stated) == 25
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    image = coarse.resize((96, 80), Image.Resampling.BICUBIC)
    np.random.seed(0)
    for steps, operations in zip(pairs, stated, strict=True):
        for step, (name, prob, *value) in zip(steps, operations, strict=True):
            assert step.prob == prob
            with DefaultScope.overwrite_default_scope('mmpretrain'):
                transform = TRANSFORMS.build({**step, 'prob': 1.0})
            signs = (1, -1) if name in DIRECTED and any(value) else (1,)
            expected = [OPERATIONS[name](image, *[sign * v for v in value]) for sign in signs]
            seen = set()
            for _ in range(16):
                found = transform({'img': np.array(image)[..., ::-1].copy()})['img'][..., ::-1]
                errors = [np.abs(found - np.float64(picture)).mean() for picture in expected]
                assert min(errors) < 2, name  # Pillow interpolates otherwise than OpenCV
                seen.add(int(np.argmin(errors)))
            assert len(seen) == len(signs), name


@pytest.fixture(scope='module')
def image_folder(tmp_path_factory) -> Path:
    """Images of different sizes in ImageNet's layout, with lists of them and label maps."""
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
    make_label_maps(root / 'train', root / 'labels', num_classes=1000)
    return root


def small(name: Path | str, image_folder: Path) -> Config:
    """The whole recipe, for one epoch of two steps, of a network with few blocks and channels."""
    cfg = read_config(name)
    cfg.load_from = None
    head_dim = built_model(name).backbone.head_dim  # which the names of released files tell
    cfg.model.backbone.update(depths=(1, 1, 2, 1), embed_dims=(head_dim,) * 4)
    cfg.model.head.in_channels = head_dim
    for hook in cfg.custom_hooks:
        hook.momentum = 0.5
    cfg.train_cfg.max_epochs = 1
    if 'num_repeats' in cfg.train_dataloader.sampler:
        cfg.train_dataloader.sampler.round_to = 4
    if 'label_root' in cfg.train_dataloader.dataset:
        cfg.train_dataloader.dataset.label_root = str(image_folder / 'labels')
    stop_workers(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 2
        loader.dataset.data_root = str(image_folder)
    return cfg


@pytest.mark.parametrize('path', slow_unless({'uniformer-tiny_8xb128_in1k', XXS, TL}, LEAVES))
def test_trains_and_tests(path: Path, image_folder: Path, tmp_path: Path) -> None:
    """In float32; then validation and test."""
    cfg = small(path, image_folder)
    runner = make_runner(cfg, tmp_path)
    assert len(runner.train_dataloader) == 2
    check_training(runner, steps=2)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert ('ema_state_dict' in saved) == bool(cfg.custom_hooks)
    assert 0 <= runner.test()['accuracy/top1'] <= 100


@pytest.mark.slow
@pytest.mark.parametrize('size', ['small_token-label_8xb64', 'large_token-label_8xb32'])
def test_fine_tuning_starts_from_the_released_model(size, image_folder, tmp_path) -> None:
    """Backbone and both heads, of a file as the authors name and write it."""
    name = f'imagenet/uniformer-{size}_in1k-384px'
    cfg = small(name, image_folder)
    state = dict(state_dict=build_model(cfg).state_dict())
    official = to_official(parse_checkpoint(state, 'what stands for the released file'))
    cfg.load_from = str(tmp_path / Path(read_config(name).load_from).name)
    torch.save(dict(model=official), cfg.load_from)
    runner = make_runner(cfg, tmp_path / 'run')
    runner.train()
    trained = to_official(parse_checkpoint(dict(state_dict=runner.model.state_dict()), 'trained'))
    for key in ('blocks3.0.attn.qkv.weight', 'head.weight', 'aux_head.weight'):
        assert torch.allclose(trained[key], official[key], atol=2e-5)  # two steps of 5e-6
