import json
from collections.abc import Callable

import pytest


@pytest.fixture
def benchmark(run_tool, tmp_path) -> Callable[..., dict]:
    """Run the tool for one round on the CPU; gives its results."""

    def run(*args: object) -> dict:
        output = tmp_path / 'results.json'
        always = ('--device', 'cpu', '--rounds', 1, '--json', output)
        done = run_tool('tools/analysis/benchmark.py', *args, *always)
        assert done.returncode == 0, done.stderr
        return json.loads(output.read_text())

    return run


@pytest.mark.slow
def test_fused_attention_saves_memory(benchmark) -> None:
    """Stage 3 attends over 28 x 44 tokens in 5 heads: 29 MiB for every copy of the matrix."""
    args = ('--arch', 'tiny', '--style', 'global', '--shape', 448, 704)
    results = benchmark(*args, '--ways', 'plain', 'fused')
    assert results['plain']['speed'] == 1
    peak = {way: result['peak_mib'] for way, result in results.items()}
    matrix = 5 * (28 * 44) ** 2 * 4 / 2**20
    assert peak['plain'] > 2 * matrix
    assert peak['fused'] < peak['plain'] - matrix


MMACTION = 'mmaction::recognition/swin'
SWIN = 'swin-tiny-p244-w877'
WINDOWS = ('mini', '--style', 'window', '--window-size', '3', '--shape', '64', '64', '--ways')
COMPARED = {
    'ways of inference': (
        (*WINDOWS, 'plain', 'fused', 'folded', 'bf16'),
        ['plain', 'fused', 'folded', 'bf16'],
    ),
    'ways of training': (
        (*WINDOWS, 'plain', 'checkpoint', '--train'),
        ['plain', 'checkpoint'],
    ),
    'images': (
        ('tiny', 'xxs', '--shape', '64', '64', '--ways', 'fused', 'all-tokens'),
        ['tiny fused', 'xxs fused', 'xxs all-tokens'],
    ),
    # Of two families, and one of MMAction2's, which is run in one way only.
    'clips': (
        (
            *(
                'dualformer-mini',
                f'{MMACTION}/{SWIN}_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb.py',
            ),
            *('--shape', '4', '32', '32', '--ways', 'plain', 'folded'),
        ),
        ['dualformer-mini plain', 'dualformer-mini folded', SWIN],
    ),
}
for name, flags in (('inference', []), ('training', ['--train'])):
    COMPARED[f'mixed precision, {name}'] = (
        ('mini', 'torchvision::swin_t', '--shape', '32', '32', '--ways', 'amp', *flags),
        ['mini amp', 'swin_t', 'swin_t amp'],
    )


@pytest.mark.parametrize(('args', 'names'), COMPARED.values(), ids=COMPARED)
def test_compares_networks(monkeypatch, repo_root, args, names) -> None:
    if 'dualformer' in args[0]:
        pytest.importorskip('mmaction')
    monkeypatch.syspath_prepend(repo_root / 'tools/analysis')
    import benchmark

    args = benchmark.parse_args(['--device', 'cpu', '--rounds', '1', '--arch', *args])
    results = benchmark.measure(args, memory=False)
    assert list(results) == names
    assert all(result['ms'] > 0 for result in results.values())


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
