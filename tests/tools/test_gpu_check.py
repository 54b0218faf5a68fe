"""tools/analysis/gpu_check.py on the CPU: all of it on tiny sizes, and what goes wrong on a GPU."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from uniformer_mm import cli

CHECKS = ('golden_values', 'styles', 'compiled', 'training', 'one_process', 'detection')


@pytest.fixture
def tool(monkeypatch, repo_root: Path):
    """The tool as a module."""
    monkeypatch.syspath_prepend(repo_root / 'tools/analysis')
    import gpu_check

    return gpu_check


@pytest.mark.slow
def test_tiny_sizes(tool, monkeypatch, tmp_path: Path) -> None:
    file = tmp_path / 'new/report.json'
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setattr(
        'sys.argv', ['gpu_check.py', '--device', 'cpu', '--quick', '--json', str(file)]
    )
    tool.main()
    report = json.loads(file.read_text())
    found = {check['check']: check['passed'] for check in report['checks']}
    assert all(
        passed for name, passed in found.items() if name != 'detection'
    )  # which needs mmcv's ops
    assert list(found) == [name.replace('_', ' ') for name in CHECKS]
    assert {(row['mode'], row['way']) for row in report['rows'] if row['ms'] > 0} == {
        (mode, way) for mode in ('inference', 'training') for way in ('plain', 'fused')
    }


def test_a_check_that_fails(tool, monkeypatch, tmp_path: Path, capsys) -> None:
    """It does not end the others, and the exit status is 1."""

    def broken(device: str, quick: bool) -> Iterator[tuple]:
        yield 'the first', 'as expected', True
        raise RuntimeError('no kernel image\nis available')

    def absent(device: str, quick: bool) -> Iterator[tuple]:
        raise ModuleNotFoundError(name='mmdet')

    for name in CHECKS:
        monkeypatch.setattr(tool, name, broken if name == 'styles' else absent)
    broken.__name__ = 'styles'
    row = dict(zip(tool.CASE, ('64', 'inference', 'mini', 'plain'), strict=True))
    rows = [dict(row, missing='no time left'), dict(row, missing='ValueError: no compiler')]
    monkeypatch.setattr(tool, 'measure', lambda *_: rows)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    file = tmp_path / 'report.json'
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--device', 'cpu', '--json', str(file)])
    with pytest.raises(cli.UserError) as failure:
        tool.main()
    first, *failed = str(failure.value).splitlines()
    assert first == '2 failed:'
    assert failed[0] == '  styles  RuntimeError: no kernel image'
    assert failed[1] == '  64 inference mini plain ValueError: no compiler'
    assert capsys.readouterr().out.count('mmdet is not installed') == 5
    passed = [check['passed'] for check in json.loads(file.read_text())['checks']]
    assert passed == [None, True, False, None, None, None, None]


def test_what_cannot_be_measured_is_listed(tool, monkeypatch) -> None:
    build = tool.benchmark.build

    def too_large() -> None:
        raise torch.cuda.OutOfMemoryError

    def full(args, arch: str, way: str) -> Callable:
        return too_large if way == 'plain' else build(args, arch, way)

    monkeypatch.setattr(tool.benchmark, 'build', full)
    rows = list(tool.measure('cpu', True, float('inf')))
    assert [row.get('missing') for row in rows] == ['out of memory', None] * 2
    assert tool.cells(rows[0]) == ['64', 'inference', 'mini', 'plain', 'out of memory']
    rows = list(tool.measure('cpu', True, 0))
    assert [row['missing'] for row in rows] == ['no time left'] * 4
    monkeypatch.setattr(tool.benchmark, 'measure', Mock(side_effect=ValueError('no compiler')))
    rows = list(tool.measure('cpu', True, float('inf')))
    assert [row['missing'] for row in rows] == ['ValueError: no compiler'] * 4


def test_bars(tool) -> None:
    def row(network: str, way: str, per_second: float, **found: float) -> dict:
        case = dict(input='800 x 1280, batch 2, hybrid', mode='training')
        return dict(case, network=network, way=way, per_second=per_second, **found)

    rows = [row('small', 'plain', 10, peak_mib=900), row('small', 'amp', 30, peak_mib=300)]
    found = [value for _, *value in tool.compare([*rows, row('swin_t', 'amp', 20)])]
    assert found == [[3, 2], [3, 2], [1.5, 1]]
    rows[0] = row('small', 'plain', 0, missing='out of memory')
    assert list(tool.compare(rows)) == []


@pytest.mark.parametrize(('seen', 'device'), [(True, 'cpu'), (False, 'cuda')])
def test_the_device_is_the_one_that_is_there(tool, monkeypatch, capsys, seen, device) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: seen)
    monkeypatch.setattr('sys.argv', ['gpu_check.py', '--device', device])
    with pytest.raises(SystemExit):
        tool.parse_args()
    assert ('hide the GPU' if seen else 'torch sees no GPU') in capsys.readouterr().err
