"""FastInferenceHook in real tests of a small classifier, with averaged and plain weights."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from small_runs import build
from tiny_runs import make_tiny
from torch import nn

from uniformer_mm.engine import FastInferenceHook
from uniformer_mm.errors import UserError

FAST = 'uniformer_mm.FastInferenceHook'


@HOOKS.register_module(force=True)
class Witness(Hook):
    """Makes the averaged weights others than the model's, and notes what each batch gives."""

    def before_test(self, runner) -> None:
        self.seen, self.backbone = [], runner.model.backbone
        averaged = next(hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook))
        for model in (averaged.module, runner.model):  # statistics that folding has to bring in
            for tensor in model.backbone.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(0.05 * torch.rand_like(tensor))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        scores = torch.stack([sample.pred_score for sample in outputs])
        self.seen.append((runner.model.backbone._folded, scores))


def run(config: Path, work_dir: Path, *hooks: dict) -> Witness:
    """Test the averaged weights, then the others."""
    ema = dict(type='EMAHook', evaluate_on_origin=True, update_buffers=True, priority='HIGH')
    options = {'custom_hooks': [ema, *hooks, dict(type='Witness')], 'randomness.seed': 0}
    runner = build(config, options, work_dir)
    runner.test()
    witness = next(hook for hook in runner.hooks if isinstance(hook, Witness))
    assert runner.model.backbone is witness.backbone, 'the network is what it was'
    return witness


def test_same_predictions(tmp_path) -> None:
    config = make_tiny(tmp_path)
    plain, fast = (run(config, tmp_path / 'work', *hooks) for hooks in ((), (dict(type=FAST),)))
    assert [folded for folded, _ in plain.seen] == [False] * 4
    assert [folded for folded, _ in fast.seen] == [True] * 4
    for (_, expected), (_, scores) in zip(plain.seen, fast.seen, strict=True):
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-6)
    averaged, other = (fast.seen[i][1] for i in (0, 2))
    assert not torch.allclose(averaged, other, rtol=1e-2), 'each test folds the weights it tests'


@pytest.mark.parametrize(('backbone', 'has'), [(None, 'none'), (nn.ReLU(), 'ReLU')])
def test_other_networks_are_refused(backbone: nn.Module | None, has: str) -> None:
    model = nn.Module()
    model.backbone = backbone
    with pytest.raises(UserError, match=f'fold the backbones of uniformer_mm; this .* has {has}'):
        FastInferenceHook().before_run(SimpleNamespace(model=model))


@pytest.mark.parametrize('args', [dict(dtype='float16'), dict(compile='yes')])
def test_illegal_arguments(args: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(args))):
        FastInferenceHook(**args)
