"""What the tests of the configs share."""

import argparse
import contextlib
import copy
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.runner import Runner
from mmengine.utils import get_installed_path
from torch import nn

from uniformer_mm import cli
from uniformer_mm.analysis.complexity import Complexity, count_complexity

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def leaves(*folders: str) -> list[Path]:
    """The configs of these folders, by default of all that have published results."""
    folders = folders or tuple(path.parent.name for path in CONFIGS.glob('*/metafile.yml'))
    return sorted(path for folder in folders for path in (CONFIGS / folder).glob('*.py'))


def slow_unless(fast: set[str], items: Iterable[Path | str]) -> list:
    """Configs or names as parameters of a test; only those of ``fast`` run among the fast tests."""
    named = [(Path(item).stem, item) for item in items]
    return [
        pytest.param(item, id=name, marks=() if name in fast else pytest.mark.slow)
        for name, item in named
    ]


def without_scope(node: Any) -> Any:
    """The same config without the marks that mmengine puts on what a library's bases say."""
    if isinstance(node, dict):
        return {k: without_scope(v) for k, v in node.items() if k != '_scope_'}
    return type(node)(map(without_scope, node)) if isinstance(node, list | tuple) else node


@cache
def _read(path: Path) -> Config:
    return Config(without_scope(Config.fromfile(path).to_dict()))


def read_config(path: Path | str) -> Config:
    """A config, by its path or by that below ``configs`` without the ending; may be changed."""
    return copy.deepcopy(_read(path if isinstance(path, Path) else CONFIGS / f'{path}.py'))


def parse_options(options: Iterable[str]) -> dict[str, Any]:
    """``--cfg-options`` as the tools read them."""
    parser = argparse.ArgumentParser()
    cli.add_options(parser)
    return parser.parse_args(['--cfg-options', *options] if options else []).cfg_options


def with_options(path: str, options: Iterable[str]) -> Config:
    """A config, by its path in the repository, with ``--cfg-options``."""
    cfg = read_config(CONFIGS.parent / path)
    cfg.merge_from_dict(parse_options(options))
    return cfg


def config_of(row: Mapping[str, Any]) -> Config:
    """The config of a row of a metafile."""
    return with_options(row['Config'], row.get('Override', ()))


def stock_config(scope: str, path: str) -> Config:
    """A config of an OpenMMLab library, by its path below ``configs``."""
    return read_config(Path(get_installed_path(scope), '.mim/configs', path))


def build(cfg: dict, scope: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def build_model(cfg: Config) -> nn.Module:
    """The model of a config, without weights."""
    model = dict(cfg.model, backbone=dict(cfg.model.backbone, init_cfg=None))
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', dict(cfg.data_preprocessor))
    return build(model, cfg.default_scope)


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Build modules that have shapes only; what sets their values takes longer than all else."""
    with torch.device('meta'), mock.patch.object(nn.init, 'trunc_normal_'):
        yield


@cache
def built_model(path: Path | str) -> nn.Module:
    """A model without values, which saves time; not to be changed."""
    with without_values():
        return build_model(read_config(path))


@cache
def _cost(scope: str, shape: tuple[int, ...], model: str) -> Complexity:
    with without_values():
        built = build(ConfigDict(json.loads(model)), scope)
    return count_complexity(built, cli.task_forward(scope, shape))


def cost_of(cfg: Config) -> Complexity:
    """Parameters and multiply-adds at the size at which the paper counts; equal models once."""
    library = cli.library_of(cfg)
    model = cfg.model.to_dict()
    for key in ('init_cfg', 'drop_path_rate', 'with_cp'):
        model['backbone'].pop(key, None)
    if 'data_preprocessor' in cfg:
        model['data_preprocessor'] = cfg.data_preprocessor.to_dict()
    shape = tuple(library.own_size(cfg) or library.paper_size)
    return _cost(cfg.default_scope, shape, json.dumps(model, sort_keys=True))


def views_of(cfg: Config) -> int:
    """How often a video is seen in a test."""
    steps = cfg.test_dataloader.dataset.pipeline
    clips = math.prod(step.get('num_clips', 1) for step in steps if 'clip_len' in step)
    return clips * (3 if any(step.type == 'ThreeCrop' for step in steps) else 1)


def learning_rates(cfg: Config, steps: int, epoch_length: int = 1) -> list[float]:
    """Learning rates of the iterations, stepped as mmengine's ParamSchedulerHook does."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    described = cfg.param_scheduler
    schedulers = []
    for scheduler in described if isinstance(described, list) else [described]:
        converted = dict(epoch_length=epoch_length) if 'convert_to_iter_based' in scheduler else {}
        schedulers.append(
            PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer, **converted))
        )
    rates = []
    for done in range(1, steps + 1):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or done % epoch_length == 0:
                scheduler.step()
    return rates


def rates_and_decay(model: nn.Module, cfg: Config) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter, as the config's optimizer has them."""
    kept = {k: v for k, v in cfg.optim_wrapper.items() if k in ('optimizer', 'paramwise_cfg')}
    # The wrapper for mixed precision needs a GPU.
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', **kept))
    found = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    named = dict(model.named_parameters())
    assert len(found) == len(named)
    return {name: found[id(parameter)] for name, parameter in named.items()}


def weight_decay(model: nn.Module, cfg: Config) -> dict[str, float]:
    """Weight decay of every parameter; all have one learning rate."""
    found = rates_and_decay(model, cfg)
    assert {rate for rate, _ in found.values()} == {cfg.optim_wrapper.optimizer.lr}
    return {name: decay for name, (_, decay) in found.items()}


def norms_of_backbone(model: nn.Module) -> set[str]:
    """Names of the parameters of every norm of the backbone."""
    return {
        f'{name}.{leaf}'
        for name, module in model.backbone.named_modules(prefix='backbone')
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for leaf in ('weight', 'bias')
    }


def drop_rates(backbone: nn.Module) -> list[float]:
    """Drop path of every block, in order."""
    stages = [backbone._blocks(stage) for stage in range(backbone.num_stages)]
    return [getattr(block.drop_path, 'p', 0.0) for stage in stages for block in stage]


def check_gradients(model: nn.Module, data: dict) -> None:
    """See that one loss reaches every parameter."""
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    loss, _ = model.parse_losses(losses)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad is not None, f'{name} is not used'
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    model.zero_grad()


def check_training(runner: Runner, steps: int) -> None:
    """Train, and see that nearly every parameter changed and that all are finite."""
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == steps
    after = dict(runner.model.named_parameters())
    assert all(p.isfinite().all() for p in after.values())
    assert sum(not torch.equal(p, before[name]) for name, p in after.items()) > 0.9 * len(before)
