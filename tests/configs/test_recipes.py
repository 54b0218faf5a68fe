"""Every config says what the authors' script says; every result stands in one place.

``tests/data/recipes`` holds what is published: for the configs that a pattern matches, dotted keys
and values. ``*`` in a key is every item of a list; null stands for an entry that is not there. What
a later pattern says of a config overrides an earlier one.
"""

import json
import math
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import make_tables
import pytest
import yaml
from paper_configs import (
    CONFIGS,
    built_model,
    config_of,
    cost_of,
    drop_rates,
    leaves,
    read_config,
    slow_unless,
    views_of,
)
from torch import nn

from uniformer_mm import cli
from uniformer_mm.checkpoints import RELEASED, resolve
from uniformer_mm.cli.config import check_keys
from uniformer_mm.cli.numbers import check_numbers
from uniformer_mm.registry import MODELS

RECIPES = [
    recipe
    for path in sorted(Path(__file__).parents[1].glob('data/recipes/*.json'))
    for recipe in json.loads(path.read_text()).items()
]
LEAVES = leaves()
RESULTS = {
    model['Name']: model
    for path in sorted(CONFIGS.glob('*/metafile.yml'))
    for model in yaml.safe_load(path.read_text())['Models']
}
every_leaf = pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)


def name_of(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


def entry(node: Any, key: str) -> Any:
    """What a config has under a dotted key, or None."""
    name, _, rest = key.partition('.')
    if name == '*':
        return [entry(item, rest) for item in node]
    child = node[int(name)] if isinstance(node, list | tuple) else node.get(name)
    return child if child is None or not rest else entry(child, rest)


def is_same(found: Any, stated: Any) -> bool:
    if isinstance(found, dict) and isinstance(stated, dict):
        return found.keys() == stated.keys() and all(is_same(found[k], stated[k]) for k in stated)
    if isinstance(found, list | tuple) and isinstance(stated, list):
        return len(found) == len(stated) and all(map(is_same, found, stated))
    if isinstance(found, float) and isinstance(stated, float):
        return math.isclose(found, stated, rel_tol=1e-12)
    return found == stated


@cache
def stated(name: str) -> dict[str, Any]:
    """All that the recipes state of a config."""
    merged: dict[str, Any] = {}
    for pattern, recipe in RECIPES:
        if fnmatch(name, pattern):
            merged |= recipe
    for key in list(merged):  # optimizer.lr corrects the optimizer that a wider pattern states
        parent, _, leaf = key.rpartition('.')
        if isinstance(merged.get(parent), dict):
            merged[parent] = {**merged[parent], leaf: merged[key]}
    return merged


@every_leaf
def test_recipe(path) -> None:
    cfg = read_config(path)
    recipe = stated(name_of(path))
    assert len(recipe) > 30
    found = {key: entry(cfg, key) for key in recipe}
    wrong = {
        key: (found[key], recipe[key]) for key in recipe if not is_same(found[key], recipe[key])
    }
    assert not wrong, '(found, stated)'


@every_leaf
def test_settings_are_those_that_a_run_can_mean(path) -> None:
    cfg = read_config(path)
    check_keys(path.name, cfg)
    check_numbers(cfg)


def test_initial_weights_can_be_fetched() -> None:
    """Released files are named; those that a program cannot fetch are expected in ``weights/``."""
    cfgs = [read_config(path) for path in LEAVES]
    starts = {cfg.model.backbone.get('init_cfg', {}).get('checkpoint') for cfg in cfgs}
    starts |= {cfg.load_from for cfg in cfgs}
    starts |= {cfg.model.get('teacher', {}).get('checkpoint') for cfg in cfgs}
    for start in starts - {None}:
        resolved = resolve(start)
        assert resolved.startswith('https://') or resolved == f'weights/{Path(start).name}'


@pytest.mark.parametrize('pattern', [pattern for pattern, _ in RECIPES])
def test_every_recipe_is_that_of_a_config(pattern) -> None:
    assert any(fnmatch(name_of(path), pattern) for path in LEAVES)


@pytest.mark.parametrize('path', [*LEAVES, *leaves('mini')], ids=lambda path: path.stem)
def test_config_is_short_and_complete(path) -> None:
    text = path.read_text()
    assert "'/" not in text, 'absolute path'
    is_mini = path.parent.name == 'mini'
    assert len(text.splitlines()) < (90 if is_mini else 40)
    assert is_mini or ' for ' not in re.sub('#.*', '', text), 'a comprehension belongs in a base'
    cfg = read_config(path)
    assert cfg.default_scope in cli.LIBRARIES
    assert cfg.val_evaluator == cfg.test_evaluator
    if cfg.default_scope != 'mmaction':
        assert cfg.test_dataloader == cfg.val_dataloader


@every_leaf
def test_name_tells_batch_and_length(path) -> None:
    cfg = read_config(path)
    numbers = re.search(r'(\d+)xb(\d+)(?:-(\d+)([ek]))?', path.stem)
    if numbers is None:
        assert cfg.default_scope == 'mmdet'  # names as mmdet's: 1x, 3x
        return
    gpus, batch, length, unit = numbers.groups()
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.auto_scale_lr.base_batch_size == int(gpus) * int(batch)
    if unit == 'e':
        assert cfg.train_cfg.max_epochs == int(length)
    elif unit == 'k':
        assert cfg.train_cfg.max_iters == int(length) * 1000


def test_base_has_one_rule() -> None:
    base = CONFIGS / '_base_'
    folders = {path.name for path in base.iterdir() if path.name != '__pycache__'}
    assert folders == {'models', 'datasets', 'schedules', 'runtimes', 'mini'}


def test_every_config_has_its_results() -> None:
    """A row is named as its config, unless it overrides entries of one."""
    assert {path.stem for path in LEAVES} == {
        name for name, row in RESULTS.items() if 'Override' not in row
    }
    for name, row in RESULTS.items():
        path = CONFIGS.parent / row['Config']
        assert path in LEAVES
        assert ('Override' in row) is (name != path.stem)
    imports = yaml.safe_load((CONFIGS.parent / 'model-index.yml').read_text())['Import']
    assert {f'configs/{path.parent.name}/metafile.yml' for path in LEAVES} == set(imports)


@pytest.mark.parametrize('model', RESULTS.values(), ids=RESULTS)
def test_results_fit_the_config(model) -> None:
    cfg = config_of(model)
    meta = model['Metadata']
    assert meta.get('Epochs') in (None, cfg.train_cfg.get('max_epochs'))
    assert meta.get('Iterations') in (None, cfg.train_cfg.get('max_iters'))
    assert model['Results']
    backbone, head = cfg.model.backbone, cfg.model.get('head', {})
    head_dim = backbone.get('head_dim', MODELS.get(backbone.type).arch_zoo[backbone.arch].head_dim)
    for weights in RELEASED.values():
        if weights.url is not None and weights.url == model.get('Weights'):
            assert weights.head_dim == head_dim
            assert weights.token_labelling == (head.get('type') == 'uniformer_mm.TokenLabelHead')


@pytest.mark.parametrize('path', make_tables.readmes(), ids=lambda path: path.parent.name)
def test_tables_are_those_of_the_metafiles(path) -> None:
    assert make_tables.fill(path.read_text()) == path.read_text(), 'run make tables'


def test_every_table_stands_somewhere() -> None:
    texts = [path.read_text() for path in make_tables.readmes() if path.parent != CONFIGS.parent]
    found = [name for text in texts for _, name, _ in make_tables.MARKED.findall(text)]
    assert sorted([*found, 'tasks']) == sorted(make_tables.TABLES)


# -------------------------------------------------------------------------------------------------
# Parameters and multiply-adds
# -------------------------------------------------------------------------------------------------

FAST = {
    'uniformer-small-plus_8xb128_in1k',
    'uniformer-xxs_8xb512_in1k-128px',
    'uniformer-large_token-label_8xb128_in1k',
    'mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco',
    'uniformer-s-h14_fpn_8xb4-80k_ade20k-512x512',
    'uniformer-s-h32_upernet_8xb2-160k_ade20k-512x512',
    'td-hm_uniformer-s-w14-8xb128-210e_coco-384x288',
    'uniformer-small_in1k-pre_16x4x1_8xb4-110e_kinetics400-rgb',
    'uniformer-xxs-res128_in1k-pre_u4_8xb32-110e_kinetics400-rgb',
    'uniformer-base_k600-pre_u16_8xb5-60e_sthv1-rgb',
    'dualformer-tiny_in1k-pre_32x2x1_8xb8-30e_kinetics400-rgb',
    'dualformer-tiny_k400-pre_16x4x1_8xb16-16e_ucf101-split1-rgb',
}


@pytest.mark.parametrize('path', slow_unless(FAST, LEAVES))
def test_blocks(path) -> None:
    """What the recipe means: drop path grows evenly, and windows are where the style has them."""
    model, cfg = built_model(path).backbone, read_config(path).model.backbone
    rates = drop_rates(model)
    last = len(rates) - 1
    assert rates == pytest.approx([cfg.drop_path_rate * i / last for i in range(len(rates))])
    assert len(rates) in (17, 18, 20, 24, 40, 46)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    if cfg.type == 'uniformer_mm.DualFormer':
        return
    window, depth = cfg.get('window_size', 14), len(model.blocks3)
    assert [block.window_size for block in model.blocks3] == {
        'global': [0] * depth,
        'window': [window] * depth,
        'hybrid': [window, window, window, 0] * (depth // 4),
    }[cfg.get('stage3_style', 'global')]


def is_published(ours: float, published: float | None) -> bool:
    """Whether our count agrees with the published one, if there is one, but for rounding."""
    rounding = 0.5 * 0.1 ** len(str(published).partition('.')[2])
    return published is None or ours == pytest.approx(published, rel=0.01, abs=rounding)


@pytest.mark.parametrize('name', slow_unless(FAST, RESULTS))
def test_parameters_and_cost(name) -> None:
    cfg, meta = config_of(RESULTS[name]), RESULTS[name]['Metadata']
    cost = cost_of(cfg)
    assert cost.params == cost.trainable == meta['Parameters']
    assert sum(c.macs for name, c in cost.modules.items() if '.' not in name) == cost.macs
    assert meta['FLOPs'] == cost.macs * (views_of(cfg) if cfg.default_scope == 'mmaction' else 1)
    assert is_published(cost.params / 1e6, meta.get('Published Parameters'))
    # Where the published count is another one, and not only rounded, an erratum says why.
    agrees = is_published(meta['FLOPs'] / 1e9, meta.get('Published GFLOPs'))
    assert agrees or 'FLOPs' in meta['Errata']
    for key in meta:  # of other views, crops x clips
        if views := re.fullmatch(r'(?:Published G)?FLOPs( \((\d+)x(\d+)\))', key):
            macs = cost.macs * int(views[2]) * int(views[3])
            assert meta.get(f'FLOPs{views[1]}', macs) == macs
            assert is_published(macs / 1e9, meta.get(f'Published GFLOPs{views[1]}'))


def test_the_odd_published_cost_is_that_of_windows() -> None:
    """The authors' README has 172 for FPN S H-14; that is W-14, and the paper's 190 is right."""
    cfg = read_config('ade20k/uniformer-s-h14_fpn_8xb4-80k_ade20k-512x512')
    cfg.model.backbone.stage3_style = 'window'
    assert cost_of(cfg).macs / 1e9 == pytest.approx(172, rel=0.01)


@pytest.mark.parametrize(('size', 'params'), [('s', 25_233_489), ('b', 53_464_785)])
def test_pose_parameters_of_the_authors(size, params) -> None:
    """The published numbers exactly, with the norms of stages 1 to 3, which nothing reads."""
    cfg = read_config(f'coco_pose/td-hm_uniformer-{size}-8xb128-210e_coco-256x192')
    ours = cost_of(cfg).params
    cfg.model.backbone.out_indices = (0, 1, 2, 3)
    assert cost_of(cfg).params == params == ours + 2 * (64 + 128 + 320)
