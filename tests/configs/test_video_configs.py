"""What the video configs build, and that they train and test on their own views."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope
from paper_configs import (
    CONFIGS,
    built_model,
    cost_of,
    learning_rates,
    leaves,
    rates_and_decay,
    read_config,
    slow_unless,
    views_of,
    weight_decay,
)
from paper_configs import build as build_module
from small_runs import build

from uniformer_mm import DualFormer, UniFormerLight

pytest.importorskip('mmaction')

LEAVES = leaves('kinetics', 'something_something', 'ucf101', 'hmdb51', 'diving48')
DUAL = [path for path in LEAVES if path.stem.startswith('dualformer')]
UNIFORMER = [path for path in LEAVES if path not in DUAL]
SMALL = 'kinetics/uniformer-small_in1k-pre_16x4x1_8xb4-110e_kinetics400-rgb'
LIGHT = 'kinetics/uniformer-xxs-res128_in1k-pre_u4_8xb32-110e_kinetics400-rgb'
DUAL_T = 'kinetics/dualformer-tiny_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb'
TINY = dict(depths=(1, 1, 1, 1), embed_dims=(16, 16, 32, 32), head_dim=16)
DUAL_TINY = dict(depths=(2, 2, 2, 2), embed_dims=(32, 32, 32, 32))  # of windows and pyramids


def sampler_of(pipeline: list[dict]) -> dict:
    (sampler,) = (step for step in pipeline if 'clip_len' in step)
    return sampler


@pytest.mark.parametrize(('name', 'full'), [(SMALL, 0.05), (LIGHT, 0.1)])
def test_only_what_has_two_axes_decays(name, full) -> None:
    """As in the authors' runs, position convolutions, class token and wide layer scales do."""
    model = built_model(name)
    decay = weight_decay(model, read_config(name))
    for key, parameter in model.named_parameters():
        assert decay[key] == (full if parameter.ndim > 1 else 0), key
    assert decay['backbone.blocks4.0.pos_embed.weight'] == full
    if name == LIGHT:
        assert decay['backbone.cls_token'] == decay['backbone.blocks1.0.gamma_1'] == full
        assert decay['backbone.blocks3.0.gamma_1'] == 0


def test_the_head_of_dualformer_learns_ten_times_as_fast() -> None:
    """So do its positional encodings, which alone have no decay: norms and biases have it."""
    for name, (rate, decay) in rates_and_decay(built_model(DUAL_T), read_config(DUAL_T)).items():
        assert decay == (0 if 'pos_block' in name else 0.02), name
        slow = name.startswith('backbone.') and 'pos_block' not in name
        assert rate == pytest.approx(1e-4 if slow else 1e-3, rel=1e-12), name


@pytest.mark.parametrize(
    'path', [path for path in UNIFORMER if '-x' in path.stem], ids=lambda path: path.stem
)
def test_light_networks_start_from_images(path, tmp_path) -> None:
    """Kernels are repeated in time; where there is layer scale it is new."""
    file, cfg = tmp_path / 'images.pth', read_config(path).model.backbone
    images = UniFormerLight(cfg.arch, **TINY, out_indices=(3,), final_norm=True)
    torch.save(images.state_dict(), file)
    cfg.update(TINY)
    cfg.init_cfg.checkpoint = str(file)
    clips = build_module(cfg, 'mmaction')
    clips.init_weights()
    for name, weight in images.state_dict().items():
        found = clips.state_dict()[name]
        expected = found.sum(2) if found.ndim == 5 and weight.ndim == 4 else found
        torch.testing.assert_close(expected, weight)
    gammas = [parameter for name, parameter in clips.named_parameters() if 'gamma' in name]
    assert len(gammas) == (8 if 'layer_scale_init_value' in cfg else 0)
    assert all((gamma == 0.1).all() for gamma in gammas)


@pytest.mark.parametrize('path', DUAL, ids=lambda path: path.stem)
def test_dualformer_starts_from_images_or_kinetics(path, tmp_path) -> None:
    """All but the head, and with 16 frames the kernels that are those of 32."""
    file, cfg = tmp_path / 'start.pth', read_config(path).model.backbone
    cfg.update(DUAL_TINY, drop_path_rate=0)
    cfg.init_cfg.checkpoint = str(file)
    from_clips = '_k400-pre_' in path.stem
    source = DualFormer(**DUAL_TINY, clip_size=(32, 224, 224))
    state = {
        key: value if from_clips or value.ndim < 5 else value.sum(2)
        for key, value in source.state_dict().items()
    }
    if from_clips:
        state = {f'backbone.{key}': value for key, value in state.items()}
        state = dict(meta={}, state_dict=state | {'cls_head.fc_cls.bias': torch.zeros(400)})
    torch.save(state, file)
    clips = build_module(cfg, 'mmaction')
    clips.init_weights()
    for key, weight in source.state_dict().items():
        found = clips.state_dict()[key]
        if not from_clips and weight.ndim == 5:
            found, weight = found.sum(2), weight.sum(2)
        if found.shape != weight.shape:
            assert '_k400-pre_16x4x1_' in path.stem
            assert '.attn.sr.' in key or '.attn.lr.3.' in key
        elif from_clips or '.lr.3.' not in key:  # which images do not have
            torch.testing.assert_close(found, weight)


# What a view costs the authors' networks, in GMACs: counted in their code.
LIGHT_COSTS = {
    'xxs-res128_in1k-pre_u4_8xb32': 1.00,
    'xxs-res160_in1k-pre_u4_4xb64': 1.57,
    'xxs-res128_in1k-pre_u8_4xb64': 2.02,
    'xxs-res160_in1k-pre_u8_4xb64': 3.22,
    'xxs-res128_in1k-pre_u16_8xb32': 4.19,
    'xxs-res160_in1k-pre_u16_8xb32': 6.83,
    'xxs-res160_in1k-pre_u32_8xb32': 15.26,
    'xs-res192_in1k-pre_u32_8xb16': 33.79,
}


@pytest.mark.parametrize('name', slow_unless({'xxs-res128_in1k-pre_u4_8xb32'}, LIGHT_COSTS))
def test_light_networks_cost_what_the_authors_do(name) -> None:
    cost = cost_of(read_config(f'kinetics/uniformer-{name}-110e_kinetics400-rgb'))
    assert cost.macs / 1e9 == pytest.approx(LIGHT_COSTS[name], rel=0.005)


# Parameters of the authors' backbones without the head, and what a view costs them, in GMACs.
DUAL_SIZES = {
    DUAL_T: (21_767_360, 59.9),
    'ucf101/dualformer-tiny_k400-pre_16x4x1_8xb16-16e_ucf101-split1-rgb': (21_755_328, 29.8),
    'kinetics/dualformer-small_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb': (48_908_064, 158.3),
    'kinetics/dualformer-base_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb': (86_837_632, 267.4),
}


@pytest.mark.parametrize('name', slow_unless({Path(DUAL_T).stem}, DUAL_SIZES))
def test_dualformer_is_as_large_as_the_authors(name) -> None:
    params, giga = DUAL_SIZES[name]
    assert sum(p.numel() for p in built_model(name).backbone.parameters()) == params
    assert cost_of(read_config(name)).macs / 1e9 == pytest.approx(giga, rel=0.005)


@pytest.mark.parametrize('path', UNIFORMER, ids=lambda path: path.stem)
def test_schedule(path, golden_video) -> None:
    cfg = read_config(path)
    lr, epochs, length = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs, 10
    warmup = 10 if path.parent.name == 'kinetics' else 5
    floor = 4e-6 if '_32xb' in path.stem else 1e-6

    def expected(epoch: float) -> float:
        if epoch < warmup:
            return floor + (lr - floor) * epoch / warmup
        done = (epoch - warmup) / (epochs - warmup)
        return floor + (lr - floor) * (1 + math.cos(math.pi * done)) / 2

    rates = learning_rates(cfg, epochs * length + 1, length)
    assert rates == pytest.approx([expected(i / length) for i in range(len(rates))], rel=1e-9)
    for golden in golden_video['uniformer_protocol']['lr']:
        if (golden['base_lr'], golden['max_epochs']) == (lr, epochs):
            for epoch, rate in golden['lr_at_epoch'].items():
                assert rates[round(float(epoch) * length)] == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize('path', DUAL, ids=lambda path: path.stem)
def test_schedule_of_dualformer(path) -> None:
    """What mmcv's hook set: a rate for each epoch, of which warm-up takes a share."""
    cfg, length = read_config(path), 10
    lr, epochs = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs
    warmup = (3 if '-tiny' in path.stem else 2.5) if path.parent.name == 'kinetics' else 1
    for done, rate in enumerate(learning_rates(cfg, epochs * length, length)):
        regular = lr * (1 + math.cos(math.pi * (done // length) / epochs)) / 2
        missing = max(1 - done / (warmup * length), 0) * (1 - 0.1)
        assert rate == pytest.approx(regular * (1 - missing), rel=1e-9)


def test_golden_schedules_are_those_of_configs(golden_video) -> None:
    cfgs = [read_config(path) for path in UNIFORMER]
    found = {(cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs) for cfg in cfgs}
    golden = golden_video['uniformer_protocol']['lr']
    assert {(curve['base_lr'], curve['max_epochs']) for curve in golden} <= found


def test_frames_of_a_test(golden_video) -> None:
    """The samplers of the configs choose the authors' frames."""
    checked = set()
    protocol = golden_video['uniformer_protocol']
    for path in UNIFORMER:
        sampler = sampler_of(read_config(path).test_dataloader.dataset.pipeline)
        kind = (sampler.clip_len, sampler.get('frame_interval'))
        rule, start, base = ('dense', 0, 'zero') if kind[1] else ('uniform', 1, 'one')
        for case in protocol[rule]:
            if (case['frames'], case.get('stride')) != kind:
                continue
            sampler.num_clips = case['clips']
            with DefaultScope.overwrite_default_scope('mmaction'):
                step = TRANSFORMS.build(sampler)
            chosen = step(dict(total_frames=case['total_frames'], start_index=start))['frame_inds']
            assert chosen.reshape(case['clips'], -1).tolist() == case[f'{base}_based_indices']
            checked.add(kind)
    assert {(16, 4), (16, None)} <= checked


@pytest.mark.parametrize(
    ('name', 'starts'),
    [
        (DUAL_T, [29, 88, 148, 207]),  # (300 - 32 * 2 + 1) / 4 = 59.25
        (DUAL[-1], [29, 88, 148, 207]),  # 16 * 4
        (DUAL[0], [21, 64, 108, 151]),  # (300 - 32 * 4 + 1) / 4 = 43.25
    ],
)
def test_clips_of_dualformer_begin_in_the_middle_of_their_part(name, starts) -> None:
    sampler = sampler_of(read_config(name).test_dataloader.dataset.pipeline)
    with DefaultScope.overwrite_default_scope('mmaction'):
        step = TRANSFORMS.build(sampler)
    clips = step(dict(total_frames=300, start_index=0))['frame_inds'].reshape(4, -1)
    assert clips[:, 0].tolist() == starts
    assert clips.shape[1] == sampler.clip_len
    assert (clips[:, 1:] - clips[:, :-1] == sampler.frame_interval).all()


@pytest.mark.parametrize(
    ('name', 'red', 'value'),
    [
        ('kinetics/uniformer', 0, (1 - 0.45) / 0.225),
        ('something_something/uniformer', 2, (1 - 0.45) / 0.225),
        ('hmdb51/uniformer', 2, (1 - 0.45) / 0.225),
        ('ucf101/uniformer', 0, (1 - 0.45) / 0.225),
        ('kinetics/dualformer', 0, (255 - 123.675) / 58.395),
        *((f'{folder}/dualformer', 0, 255 - 104) for folder in ('diving48', 'hmdb51', 'ucf101')),
    ],
)
def test_released_colours(name, red, value) -> None:
    """UniFormer sees BGR of raw frames: the first channel is the blue one. The others see RGB."""
    folder, family = name.split('/')
    cfg = next(read_config(path) for path in leaves(folder) if path.stem.startswith(family))
    clip = torch.zeros(3, 2, 4, 4, dtype=torch.uint8)
    clip[0] = 255  # red, as every decoder of mmaction2 gives it
    preprocessor = build_module(cfg.model.data_preprocessor, 'mmaction')
    channels = preprocessor(dict(inputs=[clip[None]], data_samples=[]))['inputs'][0, 0].mean(
        (1, 2, 3)
    )
    assert channels.argmax() == red
    assert channels.max().item() == pytest.approx(value)


def small_teacher(cfg: Config, arch: dict, folder: Path) -> dict:
    """The teacher of a config with this architecture, and random weights in a file."""
    teacher = cfg.model.teacher.to_dict()
    teacher['backbone'].update(arch)
    teacher['cls_head']['in_channels'] = arch['embed_dims'][-1]
    parts = {key: teacher[key] for key in ('backbone', 'cls_head')}
    file = folder / 'teacher.pth'
    torch.save(build_module(dict(type='Recognizer3D', **parts), 'mmaction').state_dict(), file)
    return dict(teacher, checkpoint=str(file))


SOMETHING = CONFIGS / 'something_something'
RUNS = [
    *((path, {}) for path in LEAVES),
    # Rows that are options of a config: of Table 11 on one view, and of Table 12 on 3 x 2.
    (
        SOMETHING / 'uniformer-small_k400-pre_u16_8xb4-60e_sthv1-rgb.py',
        {
            'model.backbone.split': True,
            'test_dataloader.dataset.pipeline.3.type': 'uniformer_mm.FirstCrop',
        },
    ),
    (
        SOMETHING / 'uniformer-small_k400-pre_u8_8xb4-60e_sthv1-rgb.py',
        {'model.backbone.inflated': False, 'test_dataloader.dataset.pipeline.0.num_clips': 2},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('path', 'row'), RUNS, ids=[f'{path.stem}{"-row" if row else ""}' for path, row in RUNS]
)
def test_trains_and_tests(path, row, mini_data, tmp_path) -> None:
    """The config's own pipeline, loaders, head, mixing, optimizer and schedule, at 32 pixels."""
    cfg = read_config(path)
    cfg.merge_from_dict(row)
    frames = 'img' in cfg.train_dataloader.dataset.data_prefix
    data = mini_data('something' if frames else 'kinetics', train=4, val=2)
    name, kind, prefix = (
        ('sthv2', 'rawframes', 'img') if frames else ('kinetics400', 'videos', 'video')
    )
    arch = DUAL_TINY if path in DUAL else TINY
    batch = min(cfg.val_dataloader.batch_size, 2)
    options = {
        **row,
        **{f'model.backbone.{key}': value for key, value in arch.items()},
        'model.backbone.init_cfg': None,
        'model.cls_head.in_channels': 32,
        'optim_wrapper': dict(cfg.optim_wrapper, _delete_=True, type='OptimWrapper'),
        'train_cfg.max_epochs': 2,
        'train_cfg.val_interval': 1,
        'param_scheduler.T_max': 2,
        'param_scheduler.warmup': 1,
        'train_dataloader.batch_size': 2,
        'val_dataloader.batch_size': batch,
        'default_hooks.logger.interval': 1,
        'default_hooks.check_labels.allow_unused': True,  # four classes
    }
    del options['optim_wrapper']['loss_scale']
    if 'teacher' in cfg.model:
        options['model.teacher'] = small_teacher(cfg, arch, tmp_path)
    sides = {cfg.val_dataloader.dataset.pipeline[-3].crop_size: 32, 256: 36}
    for split in ('train', 'val', 'test'):
        loader = f'{split}_dataloader'
        part = 'train' if split == 'train' else 'val'
        options |= {
            f'{loader}.num_workers': 0,
            f'{loader}.dataset.data_root': str(data),
            f'{loader}.dataset.ann_file': f'{name}_{part}_list_{kind}.txt',
            f'{loader}.dataset.data_prefix.{prefix}': kind if frames else f'videos_{part}',
        }
        if frames:
            options[f'{loader}.dataset.filename_tmpl'] = 'img_{:05}.jpg'
        for number, step in enumerate(cfg[loader].dataset.pipeline):
            place = f'{loader}.dataset.pipeline.{number}'
            if 'scale' in step:
                options[f'{place}.scale'] = tuple(sides.get(x, x) for x in step.scale)
            if 'crop_size' in step:
                options[f'{place}.crop_size'] = 32
    runner = build(path, options, tmp_path)

    seen = []
    runner.model.backbone.register_forward_hook(lambda _m, args, _o: seen.append(args[0].shape))
    before = runner.model.cls_head.fc_cls.weight.detach().clone()
    runner.train()
    assert runner.iter == 4
    clip = (3, sampler_of(cfg.test_dataloader.dataset.pipeline).clip_len, 32, 32)
    # Two videos are two clips in training, or four, and single views in validation, or four.
    repeats = cfg.train_dataloader.dataset.get('num_repeats', 1)
    val_views = sampler_of(cfg.val_dataloader.dataset.pipeline).get('num_clips', 1)
    assert seen[:3] == [(2 * repeats, *clip)] * 2 + [(batch * val_views, *clip)]
    assert not torch.equal(before, runner.model.cls_head.fc_cls.weight)
    assert all(value.isfinite().all() for value in runner.model.state_dict().values())
    assert (tmp_path / 'epoch_2.pth').is_file()

    seen.clear()
    metrics = runner.test()
    assert {'acc/top1', 'acc/top5'} <= metrics.keys()
    views = views_of(cfg)
    at_once = cfg.model.get('test_cfg', {}).get('max_testing_views', views)
    assert seen == [(at_once, *clip)] * (2 * views // at_once)
