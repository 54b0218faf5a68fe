"""Averaged weights follow the plain ones in short runs, and are the recipe's in long ones."""

import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop
from paper_configs import leaves, read_config
from torch import nn

pytest.importorskip('mmpretrain')
IMAGES = 1_281_167


def make(steps: int, **kwargs):
    """The hook of a run of so many steps, and the run."""
    hook = HOOKS.build(dict(type='uniformer_mm.WarmupEMAHook', **kwargs))
    model = nn.Linear(1, 1)
    loop = IterBasedTrainLoop.__new__(IterBasedTrainLoop)
    loop._max_iters = steps
    runner = SimpleNamespace(model=model, iter=0, _train_loop=loop, _val_loop=None, _test_loop=None)
    hook.before_run(runner)
    return hook, runner


def average(steps: int, momentum: float) -> float:
    """The average of a weight that is the number of the step."""
    hook, runner = make(steps, momentum=momentum)
    for step in range(steps):
        nn.init.constant_(runner.model.weight, step)
        hook.after_train_iter(runner, step)
    return hook.ema_model.module.weight.item()


def test_a_short_run_averages_its_last_tenth() -> None:
    assert 0.88 < average(940, 4e-5) / 940 < 0.93
    assert 0.85 < average(31, 4e-5) / 31 < 0.93, 'after its first epoch'


def test_a_long_run_is_that_of_the_recipe() -> None:
    stock, model = ExponentialMovingAverage(nn.Linear(1, 1), momentum=0.02), nn.Linear(1, 1)
    for step in range(500):
        nn.init.constant_(model.weight, step)
        stock.update_parameters(model)
    assert average(500, 0.02) == stock.module.weight.item()
    assert average(499, 0.02) != pytest.approx(stock.module.weight.item() - 1, rel=1e-3)


@pytest.mark.parametrize('path', leaves('imagenet'), ids=lambda path: path.stem)
def test_the_papers_runs_are_long(path: Path) -> None:
    cfg = read_config(path)
    gpus, batch = map(int, re.search(r'_(\d+)xb(\d+)_', path.stem).groups())
    steps = cfg.train_cfg.max_epochs * (IMAGES // (gpus * batch))
    for hook in cfg.custom_hooks:
        made, _ = make(steps, momentum=hook.momentum)
        assert type(made.ema_model) is ExponentialMovingAverage


@pytest.mark.parametrize(('plain', 'said'), [(97.2, 1), (50.0, 0), (20.0, 0)])
def test_an_average_that_is_far_behind_is_named(plain: float, said: int) -> None:
    hook, runner = make(940, evaluate_on_origin=True)
    scores = {'accuracy/top1': plain}
    runner.val_loop = Mock(dataloader=Mock(dataset=[], __iter__=lambda self: iter(())))
    runner.val_loop.evaluator.evaluate.return_value = scores
    runner.message_hub = MessageHub.get_instance(f'far_{plain}')
    runner.logger = Mock()
    before = {name: p.clone() for name, p in runner.model.named_parameters()}
    hook.before_val_epoch(runner)
    hook.after_val_epoch(runner, {'accuracy/top1': 47.6})
    assert all(torch.equal(p, before[name]) for name, p in runner.model.named_parameters())
    lines = [call.args[0] for call in runner.logger.warning.call_args_list]
    assert len(lines) == said
    assert all('47.6 with the averaged' in line and 'and 97.2 with' in line for line in lines)
