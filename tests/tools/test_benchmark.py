import json
from collections.abc import Callable

import pytest


@pytest.fixture
def benchmark(run_tool, tmp_path) -> Callable[..., tuple[dict, str]]:
    """Run the tool for one round on the CPU; gives its results and what it printed."""

    def run(*args: object) -> tuple[dict, str]:
        output = tmp_path / 'results.json'
        always = ('--device', 'cpu', '--rounds', 1, '--json', output)
        done = run_tool('tools/analysis/benchmark.py', *args, *always)
        assert done.returncode == 0, done.stderr
        return json.loads(output.read_text()), ' '.join(done.stdout.split())

    return run


@pytest.mark.slow
@pytest.mark.parametrize('train', [True, False])
def test_reports_every_way(benchmark, train: bool) -> None:
    ways = ['plain', 'fused', 'checkpoint'] if train else ['plain', 'fused', 'folded', 'bf16']
    args = ('--arch', 'mini', '--style', 'window', '--window-size', 3, '--shape', 64, 64)
    results, _ = benchmark(*args, '--ways', *ways, *(['--train'] if train else []))
    assert list(results) == ways
    assert results['plain']['speed'] == 1
    assert all(result['ms'] > 0 and result['peak_mib'] >= 0 for result in results.values())


@pytest.mark.slow
def test_fused_attention_saves_memory(benchmark) -> None:
    """Stage 3 attends over 36 x 56 tokens in 5 heads: 78 MiB for every copy of the matrix."""
    args = ('--arch', 'tiny', '--style', 'global', '--shape', 576, 896)
    results, _ = benchmark(*args, '--ways', 'plain', 'fused')
    peak = {way: result['peak_mib'] for way, result in results.items()}
    assert peak['plain'] > 2 * 5 * (36 * 56) ** 2 * 4 / 2**20
    assert peak['fused'] < peak['plain'] / 2


@pytest.mark.slow
def test_compares_networks(benchmark) -> None:
    args = ('--arch', 'tiny', 'xxs', '--shape', 64, 64, '--ways', 'fused', 'all-tokens')
    results, _ = benchmark(*args)
    assert list(results) == ['tiny fused', 'xxs fused', 'xxs all-tokens']


@pytest.mark.parametrize('flags', [(), ('--train',)])
def test_every_network_in_mixed_precision(monkeypatch, repo_root, flags: tuple[str, ...]) -> None:
    monkeypatch.syspath_prepend(repo_root / 'tools/analysis')
    import benchmark

    archs = ('--device', 'cpu', '--rounds', '1', '--arch', 'mini', 'torchvision::swin_t')
    args = benchmark.parse_args([*archs, '--shape', '32', '32', '--ways', 'amp', *flags])
    results = benchmark.measure(args, memory=False)
    assert list(results) == ['mini amp', 'swin_t', 'swin_t amp']
    assert all(result['ms'] > 0 for result in results.values())


SWIN = (
    'mmaction::recognition/swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb.py'
)


@pytest.mark.slow
def test_compares_video_networks(benchmark) -> None:
    """Of two families, and one of MMAction2's, which is run in one way only."""
    pytest.importorskip('mmaction')
    args = ('--arch', 'dualformer-mini', SWIN, '--shape', 4, 32, 32, '--ways', 'plain', 'folded')
    results, _ = benchmark(*args)
    ours = ['dualformer-mini plain', 'dualformer-mini folded']
    assert list(results) == [*ours, 'swin-tiny-p244-w877']


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--shape', 224), 'takes H W or T H W'),
        (('--arch', 'large', '--shape', 8, 224, 224), 'is not one of clips: xxs, xs, mini, small'),
        (('--arch', 'dualformer-tiny'), 'dualformer-tiny is not one of images: xxs, xs'),
        (('--arch', 'mmaction::swin.py'), 'there is no file '),
        (('--arch', 'torchvision::swin'), 'torchvision has no such network'),
        (('--train', '--ways', 'folded'), "excludes the inference-only ways ['folded']"),
    ],
)
def test_illegal_arguments(run_tool: Callable, args: tuple, message: str) -> None:
    run = run_tool('tools/analysis/benchmark.py', *args)
    assert run.returncode == 2
    assert message in run.stderr
