"""tools/inference/detect.py with the mini detector and random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from PIL import Image

CONFIG = Path(__file__).resolve().parents[2] / (
    'configs/mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py'
)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)  # this fixture is made before the tests are seeded
    model = MODELS.build(Config.fromfile(CONFIG).model)
    path = tmp_path_factory.mktemp('weights') / 'detector.pth'
    meta = dict(dataset_meta=dict(classes=tuple('0123456789')))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (('a.jpg', (70, 50)), ('b.png', (33, 90))):
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / name)
    (folder / 'notes.txt').write_text('no image')
    return folder


def test_a_folder(checkpoint, images, run_main, tmp_path, capsys) -> None:
    args = (CONFIG, checkpoint, images, '--out-dir', tmp_path / 'out')
    assert run_main('tools/inference/detect.py', *args, '--save-predictions') == 0
    assert sorted(p.name for p in (tmp_path / 'out/vis').iterdir()) == ['a.jpg', 'b.png']
    found = json.loads((tmp_path / 'out/preds/a.json').read_text())
    assert {'bboxes', 'labels', 'scores', 'masks'} <= set(found)
    count = sum(score >= 0.3 for score in found['scores'])
    assert f'a.jpg: {count} found' in capsys.readouterr().out
    again = run_main('tools/inference/detect.py', *args)
    assert 'a.jpg exists already; add --overwrite' in again
    assert run_main('tools/inference/detect.py', *args, '--overwrite') == 0


def test_a_damaged_image_is_named_and_the_others_are_done(
    checkpoint, images, run_main, tmp_path
) -> None:
    (images / 'a.jpg').write_bytes((images / 'a.jpg').read_bytes()[:50])
    (images / 'c.png').write_bytes(b'')
    args = (CONFIG, checkpoint, images, '--out-dir', tmp_path / 'out')
    message = run_main('tools/inference/detect.py', *args)
    assert '2 of 3 images were skipped' in message
    assert 'a.jpg: ' in message
    assert 'c.png: ' in message
    assert [p.name for p in (tmp_path / 'out/vis').iterdir()] == ['b.png']


ERRORS = {
    'no image': (dict(input='nothing.jpg'), 'There is no image or folder nothing.jpg.'),
    'an empty folder': (dict(input='empty'), 'empty holds no image (.jpg, '),
    'no checkpoint': (dict(checkpoint='nothing.pth'), 'There is no checkpoint nothing.pth.'),
    'weights of another model': (dict(options=['model.neck.out_channels=32']), 'does not fit'),
    'no config of a detector': (
        dict(config=CONFIG.with_name('uniformer-mini_1xb32_digits.py')),
        'is no config for mmdet',
    ),
}


@pytest.mark.parametrize(('change', 'expected'), ERRORS.values(), ids=ERRORS)
def test_errors(change, expected, checkpoint, images, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path('empty').mkdir()
    args = dict(config=CONFIG, checkpoint=checkpoint, input=images / 'a.jpg') | change
    options = ['--cfg-options', *args.pop('options')] if 'options' in args else []
    message = run_main('tools/inference/detect.py', *args.values(), *options)
    assert message.startswith('error: ')
    assert expected in message
    assert not Path('work_dirs').exists()
