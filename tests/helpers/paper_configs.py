"""What the tests of the dense configs share."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from mmengine.utils import get_installed_path
from torch import nn


def without_scope(node: Any) -> Any:
    """The same config without the marks that mmengine puts on what a library's bases say."""
    if isinstance(node, dict):
        return {k: without_scope(v) for k, v in node.items() if k != '_scope_'}
    return type(node)(map(without_scope, node)) if isinstance(node, list | tuple) else node


def read_config(path: Path) -> Config:
    return Config(without_scope(Config.fromfile(path).to_dict()))


def stock_config(scope: str, path: str) -> Config:
    """A config of an OpenMMLab library, by its path below ``configs``."""
    return read_config(Path(get_installed_path(scope), '.mim/configs', path))


def build(cfg: dict, scope: str) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def learning_rates(cfg: Config, epochs: int, epoch_length: int) -> list[float]:
    """Learning rate of every iteration, stepped as mmengine's ParamSchedulerHook does."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=optimizer))
        for s in cfg.param_scheduler
    ]
    rates = []
    for _ in range(epochs):
        for _ in range(epoch_length):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


def norms_of_backbone(model: nn.Module) -> set[str]:
    """Names of the parameters of every norm of the backbone."""
    return {
        f'{name}.{leaf}'
        for name, module in model.backbone.named_modules(prefix='backbone')
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for leaf in ('weight', 'bias')
    }
