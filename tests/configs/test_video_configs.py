"""Every video config of UniFormer: what it says, what it builds, and that it trains and tests."""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from mini_run import build
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import count_complexity

pytest.importorskip('mmaction')

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
FOLDERS = ('kinetics', 'something_something', 'ucf101', 'hmdb51')
LEAVES = sorted(path for folder in FOLDERS for path in (CONFIGS / folder).glob('*.py'))


class Recipe(NamedTuple):
    """What the authors ran."""

    classes: int
    frames: int
    stride: int | None
    gpus: int
    batch: int
    lr: float
    epochs: int
    warmup: int
    drop_path: float
    init: str
    seed: int


S1, S2, UCF, HMDB = 'sthv1', 'sthv2', 'ucf101-split1', 'hmdb51-split1'
IN1K, K400, K600 = 'in1k', 'k400', 'k600'
A, B = 'rand-m7-n4-mstd0.5-inc1', 'rand-m5-n2-mstd0.25'
# Arch, initial weights, sampling, data -> recipe, with the values of each of the authors' runs.
RECIPES = {
    ('small', IN1K, '8x8x1', 'kinetics400'): Recipe(
        400, 8, 8, 8, 16, 4e-4, 100, 10, 0.1, IN1K, 6666
    ),
    ('small', IN1K, '16x4x1', 'kinetics400'): Recipe(
        400, 16, 4, 8, 4, 1e-4, 110, 10, 0.1, IN1K, 6666
    ),
    ('small', IN1K, '16x8x1', 'kinetics400'): Recipe(
        400, 16, 8, 8, 4, 1e-4, 110, 10, 0.1, IN1K, 6666
    ),
    ('small', IN1K, '32x4x1', 'kinetics400'): Recipe(
        400, 32, 4, 8, 4, 1e-4, 110, 10, 0.1, IN1K, 6666
    ),
    ('base', IN1K, '8x8x1', 'kinetics400'): Recipe(400, 8, 8, 8, 8, 2e-4, 100, 10, 0.3, IN1K, 6666),
    ('base', IN1K, '16x4x1', 'kinetics400'): Recipe(
        400, 16, 4, 8, 5, 1.25e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('base', IN1K, '16x8x1', 'kinetics400'): Recipe(
        400, 16, 8, 8, 5, 1.25e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('base', IN1K, '32x4x1', 'kinetics400'): Recipe(
        400, 32, 4, 8, 4, 1e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('small', IN1K, '16x4x1', 'kinetics600'): Recipe(
        600, 16, 4, 8, 12, 3e-4, 110, 10, 0.1, IN1K, 6666
    ),
    ('small', IN1K, '16x8x1', 'kinetics600'): Recipe(
        600, 16, 8, 8, 4, 1e-4, 110, 10, 0.1, IN1K, 6666
    ),
    ('base', IN1K, '16x4x1', 'kinetics600'): Recipe(
        600, 16, 4, 8, 5, 1.25e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('base', IN1K, '16x8x1', 'kinetics600'): Recipe(
        600, 16, 8, 8, 4, 1.25e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('base', IN1K, '32x4x1', 'kinetics600'): Recipe(
        600, 32, 4, 32, 4, 4e-4, 110, 10, 0.3, IN1K, 6666
    ),
    ('small', K400, 'u16', S1): Recipe(174, 16, None, 8, 4, 2e-4, 60, 5, 0.2, K400, 0),
    ('small', K600, 'u16', S1): Recipe(174, 16, None, 8, 4, 2e-4, 60, 5, 0.2, K600, 0),
    ('small', K400, 'u32', S1): Recipe(174, 32, None, 8, 4, 2e-4, 60, 5, 0.2, K400, 0),
    ('small', K600, 'u32', S1): Recipe(174, 32, None, 8, 4, 2e-4, 60, 5, 0.3, K600, 0),
    ('base', K400, 'u16', S1): Recipe(174, 16, None, 8, 5, 2.5e-4, 60, 5, 0.6, K400, 6666),
    ('base', K600, 'u16', S1): Recipe(174, 16, None, 8, 5, 2.5e-4, 60, 5, 0.5, K600, 6666),
    ('base', K400, 'u32', S1): Recipe(174, 32, None, 8, 4, 2e-4, 60, 5, 0.6, K400, 6666),
    ('base', K600, 'u32', S1): Recipe(174, 32, None, 8, 4, 2e-4, 60, 5, 0.6, K600, 6666),
    ('small', K400, 'u16', S2): Recipe(174, 16, None, 8, 4, 2e-4, 50, 5, 0.3, K400, 0),
    ('small', K600, 'u16', S2): Recipe(174, 16, None, 8, 4, 2e-4, 50, 5, 0.3, K600, 0),
    ('small', K400, 'u32', S2): Recipe(174, 32, None, 8, 4, 2e-4, 50, 5, 0.3, K400, 0),
    ('small', K600, 'u32', S2): Recipe(174, 32, None, 8, 4, 2e-4, 50, 5, 0.3, K600, 0),
    ('base', K400, 'u16', S2): Recipe(174, 16, None, 8, 5, 2.5e-4, 50, 5, 0.4, K400, 6666),
    ('base', K600, 'u16', S2): Recipe(174, 16, None, 8, 5, 2.5e-4, 50, 5, 0.5, K600, 6666),
    ('base', K400, 'u32', S2): Recipe(174, 32, None, 8, 4, 2e-4, 50, 5, 0.5, K400, 6666),
    ('base', K600, 'u32', S2): Recipe(174, 32, None, 8, 4, 2e-4, 50, 5, 0.5, K600, 6666),
    ('small', K400, '16x4x1', UCF): Recipe(101, 16, 4, 8, 16, 5e-5, 25, 5, 0.2, K400, 6666),
    ('small', K400, '16x4x1', HMDB): Recipe(101, 16, 4, 8, 16, 5e-5, 25, 5, 0.2, K400, 6666),
}
# Parameters and multiply-adds (billions) of one view.
PARAMS = {
    'small': {400: 21_400_400, 600: 21_503_000, 174: 21_284_462, 101: 21_247_013},
    'base': {400: 49_813_200, 600: 49_915_800, 174: 49_697_262},
}
GIGA_MACS = {'small': {8: 17.6, 16: 41.7, 32: 109.4}, 'base': {8: 40.1, 16: 96.6, 32: 258.3}}
# Clips and crops of a test, and the total multiply-adds (billions) that the authors print.
VIEWS = {'kinetics400': (4, 1), 'kinetics600': (4, 1), S1: (1, 3), S2: (1, 3), UCF: (5, 3)}
VIEWS[HMDB] = VIEWS[UCF]
WEIGHTS = {
    IN1K: 'https://huggingface.co/Sense-X/uniformer_image/resolve/main/uniformer_{}_in1k.pth',
    K400: 'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
    'uniformer-{}_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-{}.pth',
    K600: 'weights/uniformer_{}_k600_16x4.pth',
}
HASHES = {'small': 'c630a037', 'base': '157c2e66'}


def key_of(path: Path) -> tuple[str, str, str, str]:
    """Arch, initial weights, sampling and data, as the name tells them."""
    model, init, sampling, _, data = _parts(path)
    return model, init, sampling, data


def _parts(path: Path) -> tuple[str, ...]:
    model, init, sampling, schedule, data = path.stem.split('_')
    model, init = model.removeprefix('uniformer-'), init.removesuffix('-pre')
    return model, init, sampling, schedule, data.removesuffix('-rgb')


@cache
def read(path: Path) -> Config:
    return Config.fromfile(path)


@cache
def built_model(arch: str, classes: int, drop_path: float) -> nn.Module:
    """A model without values, which saves time; not to be changed."""
    path = next(
        path
        for path in LEAVES
        if key_of(path)[0] == arch
        and RECIPES[key_of(path)].classes == classes
        and RECIPES[key_of(path)].drop_path == drop_path
    )
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmaction'):
        from mmaction.registry import MODELS

        return MODELS.build(read(path).model)


@pytest.fixture(params=LEAVES, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def cfg(path) -> Config:
    return read(path)


@pytest.fixture
def recipe(path) -> Recipe:
    return RECIPES[key_of(path)]


def sampler_of(pipeline: list[dict]) -> dict:
    (sampler,) = (step for step in pipeline if 'clip_len' in step)
    return sampler


def test_every_experiment_has_a_config() -> None:
    assert sorted(map(key_of, LEAVES)) == sorted(RECIPES)


def test_name(path, recipe) -> None:
    """Names tell the batch and the epochs as well."""
    *_, schedule, _ = _parts(path)
    assert schedule == f'{recipe.gpus}xb{recipe.batch}-{recipe.epochs}e'
    assert len(path.read_text().splitlines()) < 40


def test_model(path, cfg, recipe) -> None:
    arch, init, _, data = key_of(path)
    model, head, preprocessor = cfg.model, cfg.model.cls_head, cfg.model.data_preprocessor
    assert model.type == 'Recognizer3D'
    backbone = dict(model.backbone)
    start = dict(type='Pretrained', checkpoint=WEIGHTS[init].format(arch, HASHES[arch]))
    if init == IN1K:
        start['inflate'] = 'average'
    assert backbone == dict(
        type='uniformer_mm.UniFormer3D',
        arch=arch,
        drop_path_rate=recipe.drop_path,
        init_cfg=start,
    )
    assert head == dict(
        type='I3DHead',
        num_classes=recipe.classes,
        in_channels=512,
        dropout_ratio=0.0,
        init_std=0.02,
        label_smooth_eps=0.1,
        average_clips='score',
    )
    is_bgr = data in (S1, S2, HMDB)
    assert preprocessor == dict(
        type='ActionDataPreprocessor',
        mean=[0.45 * 255] * 3,
        std=[0.225 * 255] * 3,
        format_shape='NCTHW',
        blending=dict(type='uniformer_mm.BatchMixFlip', num_classes=recipe.classes),
        **(dict(to_rgb=True) if is_bgr else {}),
    )


def test_parameters_and_cost(path, recipe) -> None:
    arch, drop_path = key_of(path)[0], recipe.drop_path
    model = built_model(arch, recipe.classes, drop_path)
    cost = count_complexity(model, cli.task_forward('mmaction', (recipe.frames, 224, 224)))
    assert cost.params == cost.trainable == PARAMS[arch][recipe.classes]
    assert cost.macs / 1e9 == pytest.approx(GIGA_MACS[arch][recipe.frames], rel=0.01)
    rates = [
        getattr(block.drop_path, 'p', 0.0)
        for stage in range(4)
        for block in model.backbone._blocks(stage)
    ]
    assert rates == pytest.approx([drop_path * i / (len(rates) - 1) for i in range(len(rates))])


def test_optimizer(cfg, recipe) -> None:
    wrapper = cfg.optim_wrapper
    assert (wrapper.type, wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    assert wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(recipe.lr), betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05
    )
    assert wrapper.clip_grad == dict(max_norm=20)
    assert wrapper.paramwise_cfg == dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0
    )
    assert cfg.train_dataloader.batch_size == recipe.batch
    assert cfg.auto_scale_lr == dict(base_batch_size=recipe.gpus * recipe.batch)
    assert cfg.randomness == dict(seed=recipe.seed)
    assert 'EMAHook' not in [hook.type for hook in cfg.custom_hooks]


def test_only_matrices_and_kernels_decay() -> None:
    """The position convolutions among them, as in the authors' runs."""
    cfg = read(CONFIGS / 'kinetics/uniformer-small_in1k-pre_16x4x1_8xb4-110e_kinetics400-rgb.py')
    model = built_model('small', 400, 0.1)
    kept = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'paramwise_cfg')}
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', **kept))
    decay = {
        id(p): group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }
    for name, parameter in model.named_parameters():
        assert decay[id(parameter)] == (0.05 if parameter.ndim > 1 else 0), name
    assert decay[id(model.backbone.blocks4[0].pos_embed.weight)] == 0.05


def learning_rates(cfg: Config, length: int) -> list[float]:
    """Learning rate at the start of every iteration, and after the last."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build(
        cfg.param_scheduler, default_args=dict(optimizer=optimizer, epoch_length=length)
    )
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * length):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return [*rates, optimizer.param_groups[0]['lr']]


def test_schedule(path, cfg, recipe, golden_video) -> None:
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=recipe.epochs, val_interval=1)
    length = 10
    rates = learning_rates(cfg, length)
    floor = 4e-6 if recipe.gpus == 32 else 1e-6

    def expected(epoch: float) -> float:
        if epoch < recipe.warmup:
            return floor + (recipe.lr - floor) * epoch / recipe.warmup
        done = (epoch - recipe.warmup) / (recipe.epochs - recipe.warmup)
        return floor + (recipe.lr - floor) * (1 + math.cos(math.pi * done)) / 2

    assert rates == pytest.approx([expected(i / length) for i in range(len(rates))], rel=1e-9)
    for golden in golden_video['uniformer_protocol']['lr']:
        if (golden['base_lr'], golden['max_epochs']) == (recipe.lr, recipe.epochs):
            for epoch, rate in golden['lr_at_epoch'].items():
                assert rates[round(float(epoch) * length)] == pytest.approx(rate, rel=1e-9)


def test_golden_schedules_are_those_of_configs(golden_video) -> None:
    found = {(r.lr, r.epochs) for r in RECIPES.values()}
    assert {
        (g['base_lr'], g['max_epochs']) for g in golden_video['uniformer_protocol']['lr']
    } <= found


def test_training_data(path, cfg, recipe) -> None:
    *_, data = key_of(path)
    frames = data in (S1, S2, HMDB)
    loader = cfg.train_dataloader
    assert (loader.num_workers, loader.drop_last) == (8, True)
    assert loader.sampler == dict(type='DefaultSampler', shuffle=True)
    assert loader.collate_fn == dict(type='repeat_pseudo_collate')
    assert loader.dataset.num_repeats == 2
    assert loader.dataset.get('on_error', 'raise') == ('raise' if frames else 'skip')
    kind = 'Rawframe' if frames else 'Video'
    assert loader.dataset.type == f'uniformer_mm.RepeatAug{kind}Dataset'

    steps = {step.type.removeprefix('uniformer_mm.'): step for step in loader.dataset.pipeline}
    sampler = 'UniformSample' if recipe.stride is None else 'DenseClipSample'
    names = [sampler, 'RawFrameDecode'] if frames else ['PyAVInit', sampler, 'PyAVDecode']
    names += ['VideoRandAugment', 'RandomResizedCrop', 'Resize', 'Flip', 'ClipRandomErasing']
    names += ['FormatShape', 'PackActionInputs']
    if data in (S1, S2):
        names.remove('Flip')
    else:
        assert steps['Flip'].flip_ratio == 0.5
    assert list(steps) == names
    assert steps[sampler].clip_len == recipe.frames
    assert steps[sampler].get('frame_interval') == recipe.stride
    assert steps[sampler].get('test_mode', False) is False
    assert steps['VideoRandAugment'].policy == (B if data in (UCF, HMDB) else A)
    assert steps['RandomResizedCrop'].area_range == (0.08, 1.0)
    assert steps['RandomResizedCrop'].aspect_ratio_range == (3 / 4, 4 / 3)
    assert steps['Resize'] == dict(type='Resize', scale=(224, 224), keep_ratio=False)
    erasing = steps['ClipRandomErasing']
    preprocessor = cfg.model.data_preprocessor
    assert (erasing.mean, erasing.std) == (preprocessor.mean, preprocessor.std)
    assert erasing.prob == 0.25


def test_views(path, cfg, recipe) -> None:
    *_, data = key_of(path)
    clips, crops = VIEWS[data]
    pipelines = {split: cfg[f'{split}_dataloader'].dataset.pipeline for split in ('val', 'test')}
    for split, pipeline in pipelines.items():
        sampler = sampler_of(pipeline)
        assert sampler.test_mode is True
        assert sampler.get('num_clips', 1) == (clips if split == 'test' else 1)
        assert (sampler.clip_len, sampler.get('frame_interval')) == (recipe.frames, recipe.stride)
        resize, crop = pipeline[-4:-2]
        assert resize == dict(type='Resize', scale=(-1, 224))
        kind = 'ThreeCrop' if split == 'test' and crops == 3 else 'CenterCrop'
        assert crop == dict(type=kind, crop_size=224)
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.test_mode is True
        assert dataset.get('on_error', 'raise') == 'raise'
    assert cfg.val_evaluator == cfg.test_evaluator == dict(type='AccMetric')
    assert cfg.default_hooks.checkpoint.save_best == 'acc/top1'


def test_files(path, cfg) -> None:
    *_, data = key_of(path)
    splits = {'kinetics': 'videos', 'sthv': 'rawframes', 'ucf': 'videos', 'hmdb': 'rawframes'}
    kind = next(kind for name, kind in splits.items() if data.startswith(name))
    name, _, split = data.partition('-split')
    middle = f'split_{split}' if split else 'list'
    for loader, part in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{loader}_dataloader'].dataset
        assert dataset.data_root == f'data/{name}'
        assert dataset.ann_file == f'{name}_{part}_{middle}_{kind}.txt'
        folder = f'{kind}_{part}' if name.startswith('kinetics') else kind
        assert dict(dataset.data_prefix) == {'video' if kind == 'videos' else 'img': folder}
        if kind == 'rawframes':
            expected = '{:05}.jpg' if data == S1 else 'img_{:05}.jpg'
            assert dataset.filename_tmpl == expected


def test_class_order(path, cfg) -> None:
    """Official Kinetics heads are renumbered for mmaction2's lists."""
    *_, data = key_of(path)
    orders = {hook.type: hook.get('class_order') for hook in cfg.custom_hooks}
    assert 'uniformer_mm.VideoDataHook' in orders
    expected = data if data.startswith('kinetics') else None
    assert orders.get('uniformer_mm.CheckpointGuardHook') == expected


def test_frames_of_a_test(golden_video) -> None:
    """The samplers of the configs choose the authors' frames."""
    from mmaction.registry import TRANSFORMS

    checked = set()
    for path in LEAVES:
        recipe = RECIPES[key_of(path)]
        sampler = dict(sampler_of(read(path).test_dataloader.dataset.pipeline))
        protocol = golden_video['uniformer_protocol']
        rule, start, base = ('dense', 0, 'zero') if recipe.stride else ('uniform', 1, 'one')
        for case in protocol[rule]:
            if (case['frames'], case.get('stride')) != (recipe.frames, recipe.stride):
                continue
            sampler['num_clips'] = case['clips']
            with DefaultScope.overwrite_default_scope('mmaction'):
                step = TRANSFORMS.build(sampler)
            chosen = step(dict(total_frames=case['total_frames'], start_index=start))['frame_inds']
            assert chosen.reshape(case['clips'], -1).tolist() == case[f'{base}_based_indices']
            checked.add((recipe.frames, recipe.stride))
    assert {(16, 4), (16, None)} <= checked


def test_released_colours() -> None:
    """Networks of Kinetics see RGB, those of raw frames BGR: the first channel is the blue one."""
    from mmaction.registry import MODELS

    clip = torch.zeros(3, 2, 4, 4, dtype=torch.uint8)
    clip[0] = 255  # red, as every decoder of mmaction2 gives it
    for data, red in (('kinetics400', 0), (S2, 2), (HMDB, 2), (UCF, 0)):
        path = next(path for path in LEAVES if key_of(path)[3] == data)
        with DefaultScope.overwrite_default_scope('mmaction'):
            preprocessor = MODELS.build(read(path).model.data_preprocessor)
        inputs = dict(inputs=[clip[None]], data_samples=[])
        channels = preprocessor(inputs)['inputs'][0, 0].mean((1, 2, 3))
        assert channels.argmax() == red
        assert channels.max().item() == pytest.approx((1 - 0.45) / 0.225)


@pytest.mark.slow
def test_train_and_test(path, cfg, recipe, mini_data, tmp_path) -> None:
    """The config's own pipeline, loaders, head, mixing, optimizer and schedule, at 32 pixels."""
    views = math.prod(VIEWS[key_of(path)[3]])
    frames = path.parent.name in ('something_something', 'hmdb51')
    data = mini_data('something' if frames else 'kinetics', train=4, val=2)
    lists = dict(
        train=f'{"sthv2" if frames else "kinetics400"}_train_list_'
        f'{"rawframes" if frames else "videos"}.txt'
    )
    lists['val'] = lists['test'] = lists['train'].replace('train', 'val')
    options = {
        'model.backbone.depths': (1, 1, 1, 1),
        'model.backbone.embed_dims': (16, 16, 32, 32),
        'model.backbone.head_dim': 16,
        'model.backbone.init_cfg': None,
        'model.cls_head.in_channels': 32,
        'optim_wrapper': dict(
            _delete_=True,
            type='OptimWrapper',
            **{key: cfg.optim_wrapper[key] for key in ('optimizer', 'paramwise_cfg', 'clip_grad')},
        ),
        'train_cfg.max_epochs': 2,
        'param_scheduler.T_max': 2,
        'param_scheduler.warmup': 1,
        'train_dataloader.batch_size': 2,
        'val_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1,
    }
    for split, file in lists.items():
        loader = f'{split}_dataloader'
        folder = 'rawframes' if frames else f'videos_{"train" if split == "train" else "val"}'
        options |= {
            f'{loader}.num_workers': 0,
            f'{loader}.dataset.data_root': str(data),
            f'{loader}.dataset.ann_file': file,
            f'{loader}.dataset.data_prefix.{"img" if frames else "video"}': folder,
        }
        if frames:
            options[f'{loader}.dataset.filename_tmpl'] = 'img_{:05}.jpg'
        for number, step in enumerate(cfg[loader].dataset.pipeline):
            prefix = f'{loader}.dataset.pipeline.{number}'
            if 'scale' in step:
                options[f'{prefix}.scale'] = tuple(
                    32 if side == 224 else side for side in step.scale
                )
            if 'crop_size' in step:
                options[f'{prefix}.crop_size'] = 32
    runner = build(path, options, tmp_path)

    seen = []
    runner.model.backbone.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape))
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 4
    # Two videos are four clips in training, two single views in validation.
    assert seen[:2] == [(4, 3, recipe.frames, 32, 32)] * 2
    assert seen[2] == (2, 3, recipe.frames, 32, 32)
    trained = runner.model.state_dict()
    assert not torch.equal(before['cls_head.fc_cls.weight'], trained['cls_head.fc_cls.weight'])
    assert all(value.isfinite().all() for value in trained.values())
    assert (tmp_path / 'epoch_2.pth').is_file()

    seen.clear()
    metrics = runner.test()
    assert {'acc/top1', 'acc/top5'} <= metrics.keys()
    assert seen == [(views, 3, recipe.frames, 32, 32)] * 2


@pytest.mark.parametrize('folder', FOLDERS)
def test_listed_in_readme_and_metafile(folder) -> None:
    readme = (CONFIGS / folder / 'README.md').read_text()
    models = yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text())['Models']
    leaves = [path for path in LEAVES if path.parent.name == folder]
    assert {model['Name'] for model in models} == {path.stem for path in leaves}
    assert f'configs/{folder}/metafile.yml' in (CONFIGS.parent / 'model-index.yml').read_text()
    for path in leaves:
        assert f'({path.name})' in readme
    for model in models:
        path = CONFIGS.parent / model['Config']
        arch, *_, data = key_of(path)
        recipe = RECIPES[key_of(path)]
        assert path.is_file()
        assert model['Metadata']['Parameters'] == PARAMS[arch][recipe.classes]
        clips, crops = VIEWS[data]
        total = GIGA_MACS[arch][recipe.frames] * clips * crops
        assert model['Metadata']['FLOPs'] / 1e9 == pytest.approx(total, rel=0.01)
        assert model['Metadata']['Epochs'] == recipe.epochs
        (result,) = model['Results']
        top1 = result['Metrics']['Top 1 Accuracy']
        assert f'Published top-1: {top1}' in ' '.join(path.read_text().replace('\n#', '').split())
