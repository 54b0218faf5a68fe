"""Every ImageNet config: what it says, what it builds, and that it trains and tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from PIL import Image
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import count_complexity

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LEAVES = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)
IMAGENET = sorted((CONFIGS / 'imagenet').glob('*.py'))

# Parameters (exact) and multiply-adds (billions) of the original classes at 224 x 224.
SIZE = {
    'uniformer-tiny_8xb128_in1k': (5_553_480, 0.971),
    'uniformer-small_8xb128_in1k': (21_545_256, 3.632),
    'uniformer-small-plus_8xb128_in1k': (24_032_552, 4.201),
    'uniformer-small-plus-dim64_8xb128_in1k': (24_032_552, 4.201),
    'uniformer-base_8xb128_in1k': (49_776_552, 8.249),
    'uniformer-base-ls_8xb128_in1k': (49_796_520, 8.249),
}
# Learning rate, drop path, head width of what the authors trained.
RECIPE = {
    'uniformer-tiny_8xb128_in1k': (1e-3, 0.1, 32),
    'uniformer-small_8xb128_in1k': (1e-3, 0.1, 64),
    'uniformer-small-plus_8xb128_in1k': (1e-3, 0.1, 32),
    'uniformer-small-plus-dim64_8xb128_in1k': (1e-3, 0.1, 64),
    'uniformer-base_8xb128_in1k': (8e-4, 0.3, 64),
    'uniformer-base-ls_8xb128_in1k': (8e-4, 0.3, 64),
}


def build_model(cfg: Config) -> nn.Module:
    from mmpretrain.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(
            dict(
                cfg.model,
                data_preprocessor=dict(type='ClsDataPreprocessor', **cfg.data_preprocessor),
            )
        )


def by_name(path: Path) -> str:
    return path.stem


@pytest.fixture(params=IMAGENET, ids=by_name)
def path(request) -> Path:
    return request.param


@pytest.fixture
def cfg(path) -> Config:
    return Config.fromfile(path)


@pytest.mark.parametrize('leaf', LEAVES, ids=by_name)
def test_every_config_is_self_contained(leaf: Path) -> None:
    text = leaf.read_text()
    assert "'/" not in text, 'absolute path'
    assert len(text.splitlines()) < 100
    cfg = Config.fromfile(leaf)
    assert cfg.custom_imports == dict(imports=['uniformer_mm'], allow_failed_imports=False)
    assert cfg.default_scope in cli.LIBRARIES


def test_all_models_are_listed(path) -> None:
    assert path.stem in SIZE
    assert len(IMAGENET) == len(SIZE)


def test_parameters_and_cost(path, cfg) -> None:
    params, giga_macs = SIZE[path.stem]
    model = build_model(cfg)
    forward = cli.task_forward('mmpretrain', (224, 224))
    cost = count_complexity(model, forward)
    assert cost.params == cost.trainable == params
    assert cost.macs / 1e9 == pytest.approx(giga_macs, rel=0.005)


def test_model(path, cfg) -> None:
    backbone, head = cfg.model.backbone, cfg.model.head
    lr, drop_path, head_dim = RECIPE[path.stem]
    assert backbone.type == 'uniformer_mm.UniFormer'
    assert backbone.drop_path_rate == drop_path
    assert (backbone.out_indices, backbone.final_norm) == ((3,), True)
    assert head.loss == dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')
    assert cfg.model.train_cfg.augments == [
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0),
    ]
    assert 'probs' not in cfg.model.train_cfg

    model = build_model(cfg)
    assert model.backbone.arch.head_dim == head_dim
    model.init_weights()
    assert model.head.fc.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not model.head.fc.bias.any()
    gammas = {name.split('.')[1] for name, _ in model.named_parameters() if 'gamma' in name}
    assert gammas == {
        'uniformer-tiny_8xb128_in1k': {'blocks1', 'blocks2', 'blocks3', 'blocks4'},
        'uniformer-base-ls_8xb128_in1k': {'blocks3', 'blocks4'},
    }.get(path.stem, set())
    assert all(
        p.unique().item() == pytest.approx(1e-6)
        for n, p in model.named_parameters()
        if 'gamma' in n
    )


def test_schedule(path, cfg) -> None:
    lr, *_ = RECIPE[path.stem]
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(lr), weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999)
    )
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=300, val_interval=1)
    assert cfg.auto_scale_lr == dict(base_batch_size=1024)
    (ema,) = cfg.custom_hooks
    assert ema.type == 'EMAHook'
    assert 1 - ema.momentum == pytest.approx(0.99996)
    assert ema.evaluate_on_ema
    assert ema.evaluate_on_origin
    if 'tiny' in path.stem:
        assert cfg.optim_wrapper.type == 'OptimWrapper'
        assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
        assert ema.update_buffers is False
        warmup, cosine = cfg.param_scheduler
        assert (warmup.type, warmup.start_factor, warmup.end) == ('LinearLR', 1e-6, 5)
        assert (cosine.type, cosine.T_max, cosine.eta_min) == ('CosineAnnealingLR', 300, 1e-5)
        assert warmup.convert_to_iter_based
        assert cosine.convert_to_iter_based
        assert 'begin' not in cosine
    else:
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
        assert 'clip_grad' not in cfg.optim_wrapper
        assert ema.update_buffers is True
        assert cfg.param_scheduler == dict(
            type='uniformer_mm.WarmupCosineLR',
            T_max=300,
            warmup=5,
            warmup_lr=1e-6,
            eta_min=1e-5,
            lag=1,
        )


def test_data(cfg) -> None:
    train, val = cfg.train_dataloader, cfg.val_dataloader
    assert (train.batch_size, val.batch_size, train.drop_last) == (128, 128, True)
    assert train.sampler == dict(type='uniformer_mm.DeiTRepeatAugSampler', num_repeats=3, seed=0)
    load, crop, flip, policy, erase, pack = train.dataset.pipeline
    assert (crop.type, crop.scale) == ('RandomResizedCrop', 224)
    assert (crop.backend, crop.interpolation) == ('pillow', 'bicubic')
    assert (flip.prob, flip.direction) == (0.5, 'horizontal')
    assert policy == dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    )
    assert (erase.type, erase.prob) == ('uniformer_mm.NormalizedRandomErasing', 0.25)
    # The preprocessor flips to RGB; before it, images and their statistics are BGR.
    assert cfg.data_preprocessor.to_rgb
    assert erase.mean == cfg.data_preprocessor.mean[::-1] == [103.53, 116.28, 123.675]
    assert erase.std == cfg.data_preprocessor.std[::-1] == [57.375, 57.12, 58.395]

    load, resize, crop, pack = val.dataset.pipeline
    assert (resize.type, resize.scale, resize.edge) == ('ResizeEdge', 256, 'short')
    assert (resize.backend, resize.interpolation) == ('pillow', 'bicubic')
    assert crop == dict(type='CenterCrop', crop_size=224)
    assert cfg.test_dataloader == val
    assert cfg.val_evaluator == cfg.test_evaluator
    assert (cfg.val_evaluator.type, cfg.val_evaluator.topk) == ('Accuracy', (1, 5))
    assert cfg.randomness == dict(seed=0, diff_rank_seed=True, deterministic=False)
    checkpoint = cfg.default_hooks.checkpoint
    assert (checkpoint.interval, checkpoint.max_keep_ckpts) == (1, 3)
    assert checkpoint.save_best == 'accuracy/top1'


def test_crop_and_erasing_defaults_are_the_recipe(cfg) -> None:
    from mmpretrain.registry import TRANSFORMS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = [TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline]
    assert steps[1].crop_ratio_range == (0.08, 1.0)
    assert steps[1].aspect_ratio_range == pytest.approx((3 / 4, 4 / 3))
    assert steps[4].area_range == pytest.approx((0.02, 1 / 3))
    assert steps[4].aspect_range == pytest.approx((0.3, 1 / 0.3))


def test_weight_decay_of_every_parameter(path, cfg) -> None:
    """timm's split for the authors' recipe, OpenMixup's for its own model."""
    model = build_model(cfg)
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=cfg.optim_wrapper.optimizer,
            paramwise_cfg=cfg.optim_wrapper.paramwise_cfg,
        ),
    )
    decay = {
        id(p): group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }
    named = dict(model.named_parameters())
    assert len(decay) == len(named)
    norms = {
        f'{name}.weight'
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
    }
    for name, parameter in named.items():
        if 'tiny' in path.stem:
            is_free = name.endswith('.bias') or name in norms or '.pos_embed.' in name
        else:
            is_free = name.endswith('.bias') or parameter.ndim == 1
        assert decay[id(parameter)] == (0 if is_free else 0.05), name
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {
        cfg.optim_wrapper.optimizer.lr
    }


def test_weight_decay_group_sizes() -> None:
    """Counted by hand from the block structure of small: 18 blocks of 7 or 5 decayed tensors."""
    cfg = Config.fromfile(CONFIGS / 'imagenet/uniformer-small_8xb128_in1k.py')
    wrapper = build_optim_wrapper(
        build_model(cfg),
        dict(
            type='OptimWrapper',
            optimizer=cfg.optim_wrapper.optimizer,
            paramwise_cfg=cfg.optim_wrapper.paramwise_cfg,
        ),
    )
    decayed = sum(len(g['params']) for g in wrapper.optimizer.param_groups if g['weight_decay'] > 0)
    # Local: DPE, conv1, conv2, attn, fc1, fc2. Global: DPE, qkv, proj, fc1, fc2. 4 embeds, 1 head.
    assert decayed == 7 * 6 + 11 * 5 + 4 + 1


@pytest.fixture(scope='module')
def image_folder(tmp_path_factory) -> Path:
    """Six images of different sizes in ImageNet's layout, with lists of them."""
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


FAST = {'uniformer-tiny_8xb128_in1k'}


@pytest.mark.parametrize(
    'leaf',
    [
        pytest.param(p, id=p.stem, marks=() if p.stem in FAST else pytest.mark.slow)
        for p in IMAGENET
    ],
)
def test_trains_and_tests(leaf: Path, image_folder: Path, tmp_path: Path) -> None:
    """One epoch of two steps through the whole recipe, in float32; then validation and test."""
    options = {'custom_hooks.0.momentum': 0.5, 'train_cfg.max_epochs': 1}
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = str(image_folder)
        options[f'{split}_dataloader.batch_size'] = 2
        options[f'{split}_dataloader.num_workers'] = 0
    options['train_dataloader.sampler.round_to'] = 4
    cfg, notes = cli.load_config(str(leaf), options)
    cli.set_work_dir(cfg, str(leaf), str(tmp_path))
    cli.set_amp(cfg, 'off')
    cli.check_data(cfg, ('train', 'val', 'test'))
    cli.set_loaders(cfg, ('train', 'val', 'test'))
    runner = cli.build_runner(cfg, notes)
    assert len(runner.train_dataloader) == 2
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 2
    assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    changed = [n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) > 0.9 * len(before)
    assert (tmp_path / 'epoch_1.pth').is_file()
    assert 0 <= runner.test()['accuracy/top1'] <= 100


def test_model_index_and_table_list_every_config(repo_root: Path) -> None:
    (entry,) = [
        e
        for e in yaml.safe_load((repo_root / 'model-index.yml').read_text())['Import']
        if 'imagenet' in e
    ]
    models = yaml.safe_load((repo_root / entry).read_text())['Models']
    table = (CONFIGS / 'imagenet/README.md').read_text()
    assert {model['Name'] for model in models} == set(SIZE)
    for model in models:
        params, giga_macs = SIZE[model['Name']]
        assert (repo_root / model['Config']).is_file()
        assert model['Metadata']['Parameters'] == params
        assert model['Metadata']['FLOPs'] == round(giga_macs * 1e9)
        (row,) = [line for line in table.splitlines() if f'({model["Name"]}.py)' in line]
        cells = [cell.strip() for cell in row.split('|')]
        assert cells[2] == f'{params / 1e6:.2f} M'
        assert cells[3] == f'{giga_macs:.2f} G'
        assert cells[4].split()[0] == str(model['Results'][0]['Metrics']['Top 1 Accuracy'])
        assert model.get('Weights', 'never released') in cells[6]
