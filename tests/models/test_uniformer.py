"""The network for images: styles, norms, sizes, registries."""

import importlib.util

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.models.layers import STYLES

MINI = dict(depths=(1, 1, 5, 1), embed_dims=(16, 32, 48, 64), head_dim=16)


def mini(**kwargs) -> UniFormer:
    return UniFormer(MINI, **kwargs)


def same(found: tuple, expected: tuple, tolerance: float = 0.0) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def windows(model: UniFormer) -> list[int]:
    return [block.window_size for block in model.blocks3]


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (150, 203), (224, 32)])
@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize(
    'types', ['patch patch patch patch', 'conv conv conv conv', 'conv patch patch patch']
)
@torch.no_grad()
def test_odd_sizes(types: str, style: str, size: tuple[int, int]) -> None:
    """A conv embedding rounds up, at the stem twice; a patch embedding floors."""
    types = types.split()
    outs = mini(embed_types=types, stage3_style=style, window_size=3).eval()(
        torch.randn(1, 3, *size)
    )
    expected = list(size)
    for stage, (kind, out) in enumerate(zip(types, outs, strict=True)):
        if kind == 'patch':
            expected = [side // (2 if stage else 4) for side in expected]
        else:
            for _ in range(1 if stage else 2):
                expected = [-(-side // 2) for side in expected]
        assert list(out.shape[2:]) == expected


def test_which_blocks_are_global() -> None:
    for arch, style, expected in (
        ('small', 'global', set(range(8))),
        ('small', 'window', set()),
        ('small', 'hybrid', {3, 7}),
        ('base', 'hybrid', {3, 7, 11, 15, 19}),
    ):
        with torch.device('meta'):
            model = UniFormer(arch, stage3_style=style)
        assert {i for i, window in enumerate(windows(model)) if window == 0} == expected
        assert set(windows(model)) <= {0, 14}
        assert all(block.window_size == 0 for block in model.blocks4)


def test_evaluation_may_use_another_style() -> None:
    model = mini(eval_stage3_style='hybrid', eval_window_size=2)
    assert windows(model) == [0] * 5
    assert windows(model.eval()) == [2, 2, 2, 0, 2]
    assert windows(model.train()) == [0] * 5
    model.eval().set_stage3_style('window', 3)
    assert windows(model) == windows(model.train()) == [3] * 5


@pytest.mark.parametrize('arch', ['mini', 'small_plus'])
@torch.no_grad()
def test_weights_move_between_styles(arch: str) -> None:
    models = [UniFormer(arch, stage3_style=style, window_size=2).eval() for style in STYLES]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    outs = [model(x)[2] for model in models]
    assert not torch.allclose(outs[0], outs[1])
    assert not torch.allclose(outs[0], outs[2])
    for model in models:
        model.set_stage3_style('global')
        same(model(x), models[0](x))


def test_only_what_is_used_is_built() -> None:
    def norms(model: UniFormer) -> set[str]:
        return {key for key in model.state_dict() if key.startswith('norm')}

    pose, classifier = mini(out_indices=(3,)), mini(out_indices=(3,), final_norm=True)
    assert norms(pose) == {'norm4.weight', 'norm4.bias'}
    leaves = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    assert norms(classifier) == {f'norm.{leaf}' for leaf in leaves}
    outs = pose.eval()(torch.randn(2, 3, 64, 64))
    assert isinstance(outs, tuple) and len(outs) == 1 and outs[0].shape == (2, 64, 2, 2)
    model = mini(out_indices=(0, 2), in_channels=13)
    assert not hasattr(model, 'blocks4') and not hasattr(model, 'norm2')
    outs = model(torch.randn(1, 13, 64, 64))
    assert [o.shape[1] for o in outs] == [16, 48]
    sum(o.square().mean() for o in outs).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_drop_path_ramp_runs_over_all_stages() -> None:
    for out_indices in ((0, 1, 2, 3), (2,)):  # a truncated network keeps its rates
        model = mini(drop_path_rate=0.7, out_indices=out_indices)
        blocks = [b for stage in range(model.num_stages) for b in model._blocks(stage)]
        rates = [getattr(b.drop_path, 'p', 0.0) for b in blocks]
        assert rates == pytest.approx([0.1 * i for i in range(len(blocks))])


def test_dropping_is_seeded_and_off_in_eval() -> None:
    x, runs = torch.ones(4, 3, 32, 32), []
    for _ in range(2):
        torch.manual_seed(7)
        model = mini(drop_path_rate=0.9, drop_rate=0.1)
        runs.append(model(x))
    same(*runs)
    assert not torch.equal(model(x)[-1], model(x)[-1])
    model.eval()
    same(model(x), model(x))


@pytest.mark.parametrize('library', ['mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'mmaction'])
def test_name_resolves_in_every_library(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f'{library} is not installed')
    registry = __import__(f'{library}.registry', fromlist=['MODELS']).MODELS
    __import__(f'{library}.models')
    assert registry.get('uniformer_mm.UniFormer') is UniFormer
    assert registry.get('uniformer_mm.UniFormer3D') is UniFormer3D
    theirs = registry.get('UniFormer')
    if library == 'mmaction':
        assert theirs.__module__.startswith('mmaction.')
    else:
        assert theirs is ROOT_MODELS.get('UniFormer')
    assert isinstance(ROOT_MODELS.build({'type': 'UniFormer', 'arch': MINI}), UniFormer)


@torch.no_grad()
def test_channels_last_gives_the_same() -> None:
    model = mini(stage3_style='hybrid', window_size=3).eval()
    x = torch.randn(2, 3, 64, 96)
    expected = model(x)
    model.to(memory_format=torch.channels_last)
    same(model(x.to(memory_format=torch.channels_last)), expected, 1e-5)
