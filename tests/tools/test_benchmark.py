import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize('train', [True, False])
def test_reports_every_way(run_tool: Callable, tmp_path: Path, train: bool) -> None:
    ways = ['plain', 'fused', 'checkpoint'] if train else ['plain', 'fused', 'folded', 'bf16']
    output = tmp_path / 'speed.json'
    run = run_tool(
        'tools/analysis/benchmark.py',
        *('--arch', 'tiny', '--style', 'window', '--window-size', 3, '--shape', 64, 64),
        *('--device', 'cpu', '--rounds', 1, '--ways', *ways, '--json', output),
        *(['--train'] if train else []),
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(output.read_text())
    assert list(results) == ways
    assert results['plain']['speed'] == 1
    assert all(result['ms'] > 0 and result['peak_mib'] >= 0 for result in results.values())


@pytest.mark.slow
def test_fused_attention_saves_memory_at_detection_size(run_tool: Callable, tmp_path: Path) -> None:
    """Stage 3 attends over 50 x 80 tokens in 5 heads: 305 MiB for every copy of the matrix."""
    output = tmp_path / 'memory.json'
    run = run_tool(
        'tools/analysis/benchmark.py',
        *('--arch', 'tiny', '--style', 'global', '--shape', 800, 1280, '--device', 'cpu'),
        *('--rounds', 1, '--ways', 'plain', 'fused', '--json', output),
    )
    assert run.returncode == 0, run.stderr
    peak = {way: result['peak_mib'] for way, result in json.loads(output.read_text()).items()}
    assert peak['plain'] > 2 * 5 * 4000**2 * 4 / 2**20
    assert peak['fused'] < peak['plain'] / 2


@pytest.mark.slow
def test_clips(run_tool: Callable, tmp_path: Path) -> None:
    output = tmp_path / 'speed.json'
    run = run_tool(
        'tools/analysis/benchmark.py',
        *('--arch', 'small', '--shape', 4, 32, 64, '--device', 'cpu', '--rounds', 1, '--train'),
        *('--ways', 'fused', '--json', output),
    )
    assert run.returncode == 0, run.stderr
    assert 'UniFormer3D small, global, 1x3x4x32x64' in ' '.join(run.stdout.split())
    assert json.loads(output.read_text())['fused']['ms'] > 0


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('--shape', 224), 'takes H W or T H W'),
        (('--arch', 'large', '--shape', 8, 224, 224), "not one of clips: ['small', 'base']"),
    ],
)
def test_illegal_shapes(run_tool: Callable, args: tuple, message: str) -> None:
    run = run_tool('tools/analysis/benchmark.py', *args)
    assert run.returncode == 2
    assert message in run.stderr


def test_refuses_to_train_an_inference_only_way(run_tool: Callable) -> None:
    run = run_tool('tools/analysis/benchmark.py', '--train', '--ways', 'fused', 'folded')
    assert run.returncode == 2
    assert "excludes the inference-only ways ['folded']" in run.stderr
