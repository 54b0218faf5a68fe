"""tools/train.py and the libraries' own tools run the same thing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import make_mini
import pytest
import torch
from mmengine.runner import Runner

BY_EPOCH = 'train_cfg.max_epochs=2'
# The data and how many of them make two batches of which size; the mini config and its length.
RUNS = {
    'mmpretrain': ('imagenet', 40, 16, 'uniformer-mini_1xb32_digits', [BY_EPOCH]),
    'mmdet': ('coco', 4, 2, 'mask-rcnn_uniformer-mini-h_fpn_coco-digits', [BY_EPOCH]),
    'mmseg': ('ade', 4, 2, 'uniformer-mini-g_fpn_ade20k-digits', ['train_cfg.max_iters=4']),
    'mmpose': ('pose', 4, 2, 'td-hm_uniformer-mini_coco-people', [BY_EPOCH]),
    'mmaction': (
        *('kinetics', 4, 2, 'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb'),
        [BY_EPOCH, 'param_scheduler.T_max=2'],
    ),
}


def loader_of(runner: Runner) -> dict[str, Any]:
    loader = runner.train_dataloader
    names = ('batch_size', 'num_workers', 'persistent_workers', 'drop_last')
    collate = getattr(loader.collate_fn, 'func', loader.collate_fn)
    types = dict(sampler=type(loader.sampler), dataset=type(loader.dataset), collate=collate)
    return {name: getattr(loader, name) for name in names} | types


@pytest.fixture(params=RUNS)
def tools(request, run_main, repo_root, tmp_path, monkeypatch):
    """A function that runs our tool and the library's own; gives both Runners and their results."""
    pytest.importorskip(request.param)
    data, count, batch, name, length = RUNS[request.param]
    monkeypatch.chdir(tmp_path)
    make_mini.make(data, tmp_path / 'data/mini', counts=dict(train=count, val=4))
    options = [
        '--cfg-options',
        *(f'train_dataloader.batch_size={batch}', 'train_dataloader.num_workers=2'),
        *('model.backbone.init_cfg=None', 'model.backbone.drop_path_rate=0.2', 'randomness.seed=5'),
        *(f'val_{part}=None' for part in ('cfg', 'dataloader', 'evaluator')),
        *('default_hooks.checkpoint=None', *length),
    ]
    ran = []

    def run(kind: str, *args: object) -> list[tuple[Runner, Any]]:
        method = getattr(Runner, kind)

        def record(self: Runner) -> Any:
            ran.append((self, method(self)))
            return ran[-1][1]

        monkeypatch.setattr(Runner, kind, record)
        for path in ('tools', Path(find_spec(request.param).origin).with_name('.mim') / 'tools'):
            config = repo_root / f'configs/mini/{name}.py'
            work = ('--work-dir', tmp_path / f'work{len(ran)}')
            # Runs of one name and second would share their losses.
            own_name = f'experiment_name=run{len(ran)}'
            assert run_main(f'{path}/{kind}.py', config, *args, *work, *options, own_name) == 0
        return ran[-2:]

    return run


@pytest.mark.slow
def test_same_training_and_test(tools, tmp_path) -> None:
    """Two epochs of random crops, drop path and the rest, from the same seed; their scores."""
    hooks, loaders, losses, weights = zip(
        *(
            (
                [(type(hook), hook.priority) for hook in runner.hooks],
                loader_of(runner),
                list(runner.message_hub.get_scalar('train/loss').data[0]),
                runner.model.state_dict(),
            )
            for runner, _ in tools('train')
        ),
        strict=True,
    )
    assert hooks[0] == hooks[1]
    assert {hook.__name__ for hook, _ in hooks[0]} >= {'CheckpointGuardHook', 'EpochSeedHook'}
    assert loaders[0] == loaders[1]
    assert losses[0] == losses[1] and len(set(losses[0])) == len(losses[0]) >= 4
    assert all(torch.equal(weights[1][key], value) for key, value in weights[0].items())

    torch.save(dict(state_dict=weights[0], meta={}), tmp_path / 'weights.pth')
    (_, ours), (_, theirs) = tools('test', tmp_path / 'weights.pth')
    assert ours == theirs
