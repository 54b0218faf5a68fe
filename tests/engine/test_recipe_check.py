"""A recipe of which a config changes a part is named; one that is whole is not."""

import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from paper_configs import CONFIGS, leaves, read_config

from uniformer_mm.engine import RecipeCheckHook


def warnings_of(cfg: Config, processes: int, epoch_length: int) -> list[str]:
    """What a run of so many processes is warned of."""
    length = cfg.train_cfg
    loop = EpochBasedTrainLoop if 'max_epochs' in length else IterBasedTrainLoop
    runner = SimpleNamespace(
        cfg=cfg,
        train_loop=loop.__new__(loop),
        max_epochs=length.get('max_epochs', 1),
        max_iters=length.get('max_iters') or length.max_epochs * epoch_length,
        world_size=processes,
        logger=Mock(),
    )
    RecipeCheckHook().before_train(runner)
    return [call.args[0] for call in runner.logger.warning.call_args_list]


ALL = [*leaves(), *sorted(CONFIGS.glob('mini/*.py'))]


@pytest.mark.parametrize('path', ALL, ids=lambda path: path.stem)
def test_no_false_alarm(path: Path) -> None:
    mini = path.parent.name == 'mini'
    named = re.search(r'[_-](\d+)xb\d+[_-]', path.stem)
    processes = int(named[1]) if named else 1 if mini else 8
    assert warnings_of(read_config(path), processes, 50 if mini else 1000) == []


@pytest.mark.parametrize(
    ('name', 'options', 'said'),
    [
        (
            'imagenet/uniformer-small_8xb128_in1k',
            {'train_cfg.max_epochs': 30},
            ['30 epochs, .*: param_scheduler.T_max=300, for example 30. Set'],
        ),
        (
            'imagenet/uniformer-small_8xb128_in1k',
            {'train_cfg.max_epochs': 8, 'param_scheduler.T_max': 8},
            ['8 epochs, .*: param_scheduler.warmup=5, for example 1. Set'],
        ),
        (
            'imagenet/uniformer-small_8xb128_in1k',
            {'train_cfg.max_epochs': 500},
            ['500 epochs, .*: it is over after 60% of the run. Set'],
        ),
        (
            'coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco',
            {'train_cfg.max_epochs': 6},
            [r'1.end=12, for example 6; .*.1.milestones=\[8, 11\], .* \[4, 5\]. .*\(a list is'],
        ),
        (
            'ade20k/uniformer-s-g_fpn_8xb4-80k_ade20k-512x512',
            {'train_cfg.max_iters': 1500},
            ['1500 iterations, .*0.end=1001 of a warm-up, for example 150; .*1.end=80000, .* 1500'],
        ),
        (
            'imagenet/uniformer-small_8xb128_in1k',
            {'train_dataloader.batch_size': 4},
            ['32 samples, .*lr=0.001 is for 1024 .* makes it 3.125e-05, .*base_batch_size=32'],
        ),
        (
            'imagenet/uniformer-small_8xb128_in1k',
            {'train_dataloader.batch_size': 4, 'auto_scale_lr.enable': True},
            [],
        ),
    ],
)
def test_what_was_left_behind(name: str, options: dict, said: list[str]) -> None:
    cfg = read_config(name)
    cfg.merge_from_dict(options)
    found = warnings_of(cfg, 8, 1000)
    assert len(found) == len(said)
    for warning, pattern in zip(found, said, strict=True):
        assert re.search(pattern, warning)
