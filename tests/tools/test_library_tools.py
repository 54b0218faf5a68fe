"""The libraries' own tools with configs of this project, started as docs/training.md says."""

import re
from importlib.util import find_spec
from pathlib import Path

import make_mini
import numpy as np
import pytest
import torch
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / 'configs/mini'
DIGITS = CONFIGS / 'uniformer-mini_1xb32_digits.py'


def library_tool(library: str, name: str) -> Path:
    return Path(find_spec(library).origin).parent / '.mim/tools' / name


def loader(split: str, data: Path) -> list[str]:
    keys = dict(num_workers=0, persistent_workers=False)
    options = [f'{split}_dataloader.{key}={value}' for key, value in keys.items()]
    return [*options, f'{split}_dataloader.dataset.data_root={data}']


@pytest.fixture
def digits(tmp_path) -> Path:
    return make_mini.make('imagenet', tmp_path / 'digits', counts=dict(train=20, val=20))


def test_mmpretrains_browser(run_main, digits, tmp_path) -> None:
    out = tmp_path / 'samples'
    tool = library_tool('mmpretrain', 'visualization/browse_dataset.py')
    args = ('--not-show', '--output-dir', out, '--show-number', 2, '--mode', 'original')
    assert run_main(tool, DIGITS, *args, '--cfg-options', *loader('train', digits)) == 0
    for picture in out.iterdir():
        (source,) = digits.glob(f'train/*/{picture.name}')
        expected, found = (np.asarray(Image.open(p).convert('RGB')) for p in (source, picture))
        assert np.array_equal(found[40:], expected[40:]), 'below the text'


@pytest.mark.parametrize('weights', ['averaged', 'raw'])
def test_mmpretrains_confusion_matrix(weights, random_weights, run_tool, digits, tmp_path) -> None:
    """All images count for the class that the bias of these weights prefers."""
    file = torch.load(random_weights(DIGITS))
    averaged, raw = dict(file['state_dict']), dict(file['state_dict'])
    averaged['head.fc.bias'], raw['head.fc.bias'] = 1e3 * torch.eye(10)[[3, 7]]
    average = {f'module.{key}': value for key, value in raw.items()}
    steps = {'steps': torch.tensor(1)}
    torch.save(dict(state_dict=averaged, ema_state_dict=average | steps), tmp_path / 'a.pth')
    tool = library_tool('mmpretrain', 'analysis_tools/confusion_matrix.py')
    off = dict(averaged='evaluate_on_origin', raw='evaluate_on_ema')[weights]
    options = (f'custom_hooks.0.{off}=False', *loader('test', digits))
    args = (DIGITS, tmp_path / 'a.pth', '--out', tmp_path / 'm.pkl', '--cfg-options', *options)
    done = run_tool(tool, *args)
    assert done.returncode == 0, done.stderr
    matrix = np.load(tmp_path / 'm.pkl', allow_pickle=True)
    assert matrix.sum() == 20
    assert matrix[:, dict(averaged=3, raw=7)[weights]].sum() == 20


def test_mmactions_confusion_matrix(random_weights, run_tool, tmp_path) -> None:
    """By the line of the page, which imports what the wheel lacks."""
    config = CONFIGS / 'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
    data = make_mini.make('kinetics', tmp_path / 'clips', counts=dict(val=4))
    (line,) = re.findall(r'python -c "(.*)"', (REPO / 'docs/training.md').read_text())
    (tmp_path / 'line.py').write_text(line)
    tool = library_tool('mmaction', 'analysis_tools/confusion_matrix.py')
    args = (tool, config, random_weights(config), '--show-path', tmp_path / 'matrix.png')
    done = run_tool(tmp_path / 'line.py', *args, '--cfg-options', *loader('test', data))
    assert 'The confusion matrix is saved at' in done.stdout, done.stderr
    assert (tmp_path / 'matrix.png').is_file()
