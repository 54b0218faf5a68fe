"""tools/inference/classify_video.py, with random weights."""

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import common
import make_mini
import numpy as np
import pytest
import torch
from mini.clips import write_video
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from small_data import moving_bar

from uniformer_mm import UniFormer3D
from uniformer_mm.checkpoints import CLASS_ORDERS, class_order
from uniformer_mm.registry import MODELS

CONFIG = Path(__file__).resolve().parents[2] / (
    'configs/mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
)


@pytest.fixture
def checkpoint(random_weights) -> Path:
    return random_weights(CONFIG)


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return make_mini.make('kinetics', tmp_path_factory.mktemp('mini'), counts=dict(val=5))


def test_names_and_what_is_no_video(checkpoint, data, run_main, tmp_path, capsys) -> None:
    folder = tmp_path / 'videos'
    folder.mkdir()
    shutil.copy(data / 'videos_val/0000.mp4', folder / 'b.mp4')
    with av.open(str(folder / 'a.mp4'), 'w') as container:  # sound without pictures
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), 'fltp', 'mono')
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])
    args = ('tools/inference/classify_video.py', CONFIG, checkpoint, folder)
    options = ('--classes', data / 'label_map.txt', '--save-predictions')
    message = run_main(*args, '--out-dir', tmp_path / 'out', *options)
    assert '1 of 2 inputs were skipped' in message
    assert 'a.mp4: ' in message
    (picture,) = (tmp_path / 'out/vis').iterdir()
    assert picture.name == 'b.mp4.png'
    assert np.asarray(Image.open(picture)).std() > 10
    (line,) = [line for line in capsys.readouterr().out.splitlines() if '.png: ' in line]
    found = json.loads((tmp_path / 'out/preds/b.json').read_text())
    assert line.endswith(f'.png: {found["pred_class"]} ({found["pred_score"]:.1%})')
    assert found['pred_class'] == ('right', 'left', 'down', 'up')[found['pred_label']]
    assert sum(found['pred_scores']) == pytest.approx(1)


def test_raw_frames_and_their_video_look_the_same(random_weights, run_main, tmp_path) -> None:
    """Of a network that sees BGR: what tools/test.py makes of frames, the tool makes of a video."""
    config = CONFIG.with_name('uniformer-mini_u16_1xb8_sthv2-digits-rgb.py')
    assert Config.fromfile(config).model.data_preprocessor.to_rgb
    weights, video = random_weights(config), write_video(tmp_path / 'a.mp4', moving_bar(20))
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0), 1):  # as PNG, without loss
            frame.to_image().save(tmp_path / f'img_{number:05}.jpg', format='PNG')
    (tmp_path / 'list.txt').write_text('. 20 0\n')
    data = 'test_dataloader.dataset'
    options = ('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False')
    options += (f'{data}.data_root=', f'{data}.ann_file={tmp_path}/list.txt')
    options += (f'{data}.data_prefix.img={tmp_path}', f'{data}.pipeline.3.type=CenterCrop')
    dump = tmp_path / 'found.pkl'
    args = ('--dump', dump, '--work-dir', tmp_path / 'test', '--cfg-options', *options)
    assert run_main('tools/test.py', config, weights, *args) == 0
    (expected,) = pickle.loads(dump.read_bytes())
    args = (video, '--out-dir', tmp_path / 'out', '--save-predictions')
    assert run_main('tools/inference/classify_video.py', config, weights, *args) == 0
    found = json.loads((tmp_path / 'out/preds/a.json').read_text())
    assert found['pred_scores'] == pytest.approx(expected['pred_score'].tolist(), abs=1e-5)


def test_what_errors_say_in_one_line() -> None:
    assert common.reason(AssertionError()) == 'AssertionError'
    assert common.reason(ValueError('\nwhat\nwhere')) == 'ValueError: what'
    assert common.reason(OSError('the file is empty')) == 'the file is empty'


@pytest.mark.parametrize('order', [None, 'kinetics400', 'sthv1'])
def test_the_config_says_how_official_classes_are_numbered(order) -> None:
    class Loader:
        """Stands for a library's inferencer."""

        def __init__(self, cfg, weights, device) -> None:
            self._load_weights_to_model(model, {'model_state': state}, cfg)

        def _load_weights_to_model(self, model, weights, cfg) -> None:
            model.load_state_dict(weights['state_dict'])

    num_classes = CLASS_ORDERS.get(order, 400)
    arch = dict(depths=(1, 1, 1, 1), embed_dims=(16, 16, 16, 32), head_dim=16)
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(
            dict(
                type='Recognizer3D',
                backbone=dict(type='uniformer_mm.UniFormer3D', arch=arch),
                cls_head=dict(type='I3DHead', num_classes=num_classes, in_channels=32),
            )
        )
    numbers = torch.arange(float(num_classes))
    state = UniFormer3D(arch).state_dict()
    state |= {'head.weight': torch.zeros(num_classes, 32), 'head.bias': numbers}
    args = SimpleNamespace(checkpoint='some.pyth', device='cpu', fast=None)
    hooks = dict(checkpoint_guard=dict(class_order=order))
    cfg = Config(dict(default_hooks=hooks, model=dict(backbone={})))
    common.load(Loader, cfg, args)
    bias = model.cls_head.fc_cls.bias
    assert torch.equal(bias if order is None else bias[class_order(order)], numbers)


def test_classes_must_fit(checkpoint, data, run_main, tmp_path) -> None:
    names = tmp_path / 'names.txt'
    names.write_text('right\nleft\n')
    video = data / 'videos_val/0000.mp4'
    args = ('tools/inference/classify_video.py', CONFIG, checkpoint, video, '--classes', names)
    assert 'names.txt has 2 names; the model 4 classes.' in run_main(*args)
    names.unlink()
    assert 'There is no file' in run_main(*args)
