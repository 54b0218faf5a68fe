"""The learning-rate curves."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn

from uniformer_mm.engine import EpochCosineLR, WarmupCosineLR


def optimizer(*rates: float) -> torch.optim.Optimizer:
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=lr) for lr in rates]
    return torch.optim.AdamW(groups)


def follow(optim: torch.optim.Optimizer, steps: int, *schedulers) -> list[list[float]]:
    """The rates of every group at ``steps`` steps."""
    values = []
    for _ in range(steps):
        values.append([group['lr'] for group in optim.param_groups])
        optim.step()
        for scheduler in schedulers:
            scheduler.step()
    return values


def curve(steps: int, rates: tuple[float, ...] = (1e-3,), **kwargs) -> list[list[float]]:
    """The rates of every group at the first ``steps`` steps."""
    optim = optimizer(*rates)
    return follow(optim, steps, WarmupCosineLR(optim, **kwargs))


def test_values_of_the_plain_recipe() -> None:
    """300 epochs, 5 of warm-up; numbers worked out by hand from the formula."""
    lr = [value for (value,) in curve(300, T_max=300, warmup=5)]
    assert lr[:6] == pytest.approx(
        [1e-6, 2.008e-4, 4.006e-4, 6.004e-4, 8.002e-4, 9.993217e-4], rel=1e-6
    )
    assert lr[150] == pytest.approx((1e-3 + 1e-5) / 2, rel=1e-9)
    assert lr[100] == pytest.approx(1e-5 + 9.9e-4 * 0.75, rel=1e-9)
    assert lr[200] == pytest.approx(1e-5 + 9.9e-4 * 0.25, rel=1e-9)
    assert lr[299] == pytest.approx(1e-5 + 9.9e-4 * math.sin(math.pi / 600) ** 2, rel=1e-6)


def test_values_of_the_video_recipe(golden_video) -> None:
    """At fractional epochs, as the authors set it every iteration."""
    length = 20
    for golden in golden_video['uniformer_protocol']['lr']:
        cfg = dict(
            type='uniformer_mm.WarmupCosineLR',
            T_max=golden['max_epochs'],
            warmup=int(golden['warmup_epochs']),
            eta_min=1e-6,
            after_warmup=True,
            convert_to_iter_based=True,
        )
        optim = optimizer(golden['base_lr'])
        scheduler = PARAM_SCHEDULERS.build(
            cfg, default_args=dict(optimizer=optim, epoch_length=length)
        )
        values = [lr for (lr,) in follow(optim, golden['max_epochs'] * length + 1, scheduler)]
        for epoch, expected in golden['lr_at_epoch'].items():
            assert values[round(float(epoch) * length)] == pytest.approx(expected, rel=1e-12)
        assert values[-1] == 1e-6


def test_lag_repeats_the_first_epoch_and_ends_at_298() -> None:
    on_time = curve(300, T_max=300, warmup=5)
    late = curve(300, T_max=300, warmup=5, lag=1)
    assert late[0] == late[1] == on_time[0]
    assert late[1:] == on_time[:-1]
    assert late[299] == on_time[298]


def test_groups_keep_their_own_peak_but_share_start_and_floor() -> None:
    values = curve(20, rates=(1e-3, 1e-4), T_max=10, warmup=2, eta_min=2e-5)
    assert values[0] == [1e-6, 1e-6]
    assert values[1] == pytest.approx([(1e-3 + 1e-6) / 2, (1e-4 + 1e-6) / 2])
    assert values[5] == pytest.approx([(1e-3 + 2e-5) / 2, (1e-4 + 2e-5) / 2])
    assert values[9][1] > 2e-5
    assert values[10:] == [[2e-5, 2e-5]] * 10, 'it stays there'
    assert curve(5, rates=(5e-6,), T_max=4, eta_min=5e-6) == [[5e-6]] * 5, 'a constant rate'


def test_state_dict_continues_the_curve() -> None:
    expected = curve(12, T_max=10, warmup=3, lag=1)
    first, resumed = optimizer(1e-3), optimizer(1e-3)
    scheduler, again = (WarmupCosineLR(o, T_max=10, warmup=3, lag=1) for o in (first, resumed))
    follow(first, 4, scheduler)
    resumed.load_state_dict(first.state_dict())
    again.load_state_dict(scheduler.state_dict())
    assert follow(resumed, 8, again) == expected[4:]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(T_max=5, warmup=5), r'warmup must be in \[0, T_max=5\), got 5'),
        (dict(T_max=5, warmup=-1), 'warmup must be an integer of at least 0'),
        (dict(T_max=5, lag=-1), 'lag must be an integer of at least 0; got -1'),
        (dict(T_max=5, start_factor=2.0), 'start_factor must be'),
        (dict(T_max=5, start_factor=0.1, after_warmup=True), 'needs after_warmup=False'),
    ],
)
def test_impossible_arguments(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WarmupCosineLR(optimizer(1e-3), **kwargs)
    with pytest.raises(ValueError, match='in epochs'):
        WarmupCosineLR.build_iter_from_epoch(
            optimizer(1e-3), T_max=10, epoch_length=5, by_epoch=False
        )


def test_runner_builds_it_after_scaling_the_rate(tmp_path, repo_root) -> None:
    """Batch-size scaling moves the peak, not the warm-up start or the floor."""
    schedule = Config.fromfile(
        repo_root / 'configs/_base_/schedules/imagenet_bs1024_adamw_uniformer.py'
    )
    dataset = torch.utils.data.TensorDataset(torch.zeros(8, 1))
    runner = Runner(
        nn.Linear(1, 1),
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False), batch_size=4
        ),
        train_cfg=schedule.train_cfg,
        optim_wrapper=dict(type='OptimWrapper', optimizer=schedule.optim_wrapper.optimizer),
        param_scheduler=schedule.param_scheduler,
        default_scope='mmengine',
        experiment_name='schedule',
    )
    runner.train_loop  # noqa: B018  (the scheduler reads the number of epochs from it)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    assert isinstance(runner.optim_wrapper, OptimWrapper)
    runner.scale_lr(runner.optim_wrapper, dict(base_batch_size=1, enable=True))
    (scheduler,) = runner.build_param_scheduler(runner.param_schedulers)
    assert isinstance(scheduler, WarmupCosineLR)
    lr = [values[0] for values in follow(runner.optim_wrapper.optimizer, 300, scheduler)]
    peak = 4e-3
    assert lr[0] == lr[1] == 1e-6
    assert lr[3] == pytest.approx(1e-6 + 2 * (peak - 1e-6) / 5)
    assert lr[151] == pytest.approx((peak + 1e-5) / 2)
    assert lr[299] == pytest.approx(1e-5 + (peak - 1e-5) * math.sin(math.pi / 300) ** 2)


@pytest.mark.parametrize(('model', 'warmup'), [('tiny', 5), ('small-openmixup', 20)])
def test_values_of_openmixup(repo_root, model, warmup) -> None:
    """mmcv 1.x: a cosine over all iterations, times a factor that grows to 1 over the warm-up."""
    cfg = Config.fromfile(repo_root / f'configs/imagenet/uniformer-{model}_8xb128_in1k.py')
    optim, epoch = optimizer(1e-3), 10
    scheduler = PARAM_SCHEDULERS.build(
        dict(cfg.param_scheduler), default_args=dict(optimizer=optim, epoch_length=epoch)
    )
    for i, (lr,) in enumerate(follow(optim, 300 * epoch, scheduler)):
        cosine = 1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * i / (300 * epoch))) / 2
        rise = min(i / (warmup * epoch), 1)
        assert lr == pytest.approx(cosine * (1 - (1 - rise) * (1 - 1e-6)), rel=1e-12), i


def test_values_of_dualformer() -> None:
    """4 epochs of 3 iterations: 0.1 + 0.9 i / 4.5 in the first one and a half, times a cosine."""
    cfg = dict(type='uniformer_mm.EpochCosineLR', T_max=4, warmup=1.5, convert_to_iter_based=True)
    optim = optimizer(1.0, 0.1)
    scheduler = PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=optim, epoch_length=3))
    second, last = (1 + math.sqrt(0.5)) / 2, (1 - math.sqrt(0.5)) / 2
    expected = [0.1, 0.3, 0.5, 0.7 * second, 0.9 * second, second, 0.5, 0.5, 0.5, last, last, last]
    found = follow(optim, 13, scheduler)
    assert [head for head, _ in found] == pytest.approx([*expected, 0], rel=1e-9)
    assert [10 * body for _, body in found] == pytest.approx([head for head, _ in found])


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(T_max=4, epoch_length=3, warmup=4), r'warmup must be in \[0, T_max=4\), got 4'),
        (dict(T_max=4, epoch_length=0), 'epoch_length must be a positive integer; got 0'),
    ],
)
def test_impossible_epoch_cosines(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        EpochCosineLR(optimizer(1.0), **kwargs)
