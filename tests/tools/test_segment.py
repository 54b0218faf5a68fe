"""Segmentation through the tools: training, resuming, testing, drawing, inference."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer
from mmseg.datasets import ADE20KDataset
from mmseg.registry import MODELS
from PIL import Image
from small_data import make_ade

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
CONFIG = CONFIGS / 'uniformer-mini-g_fpn_ade20k-digits.py'
TOOL = 'tools/inference/segment.py'


@pytest.fixture
def checkpoint(random_weights) -> Path:
    """As mmseg 0.x wrote it: the classes of another data set are not taken over."""
    return random_weights(CONFIG, CLASSES=('road', 'car'), PALETTE=[[0, 0, 0], [1, 1, 1]])


@pytest.fixture
def inputs(images) -> Path:
    """Images and a video."""
    writer = cv2.VideoWriter(str(images / 'c.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 12, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8):
        writer.write(frame)
    writer.release()
    return images


def test_a_folder_of_images_and_videos(checkpoint, inputs, run_main, tmp_path, capsys) -> None:
    out = tmp_path / 'out'
    args = (CONFIG, checkpoint, inputs, '--out-dir', out, '--opacity', 1, '--save-predictions')
    assert run_main(TOOL, *args) == 0
    assert sorted(p.name for p in (out / 'vis').iterdir()) == ['12.png', '7.jpg', 'c.mp4']
    names = ['12.json', '12.png', '7.json', '7.png', 'c.json']
    assert sorted(p.name for p in (out / 'preds').iterdir()) == names
    # At full opacity a picture is the palette at the classes.
    meta = Config.fromfile(CONFIG).digits_dataset.metainfo
    classes = np.asarray(Image.open(out / 'preds/12.png'))
    picture = np.asarray(Image.open(out / 'vis/12.png'))
    assert classes.shape == (33, 90)
    assert np.array_equal(picture, np.array(meta.palette, np.uint8)[classes])
    said = capsys.readouterr().out
    assert 'c.mp4: 3 frames' in said
    largest = np.bincount(np.asarray(Image.open(out / 'preds/7.png')).ravel()).argmax()
    assert f'7.jpg: {meta.classes[largest]}' in said
    shares = json.loads((out / 'preds/12.json').read_text())
    for number, name in enumerate(meta.classes):
        assert shares.get(name, 0) == pytest.approx((classes == number).mean())
    assert len(json.loads((out / 'preds/c.json').read_text())) == 3
    video = cv2.VideoCapture(str(out / 'vis/c.mp4'))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
    assert video.read()[1].shape == (48, 64, 3)


def test_the_colours_of_ade20k(run_main, tmp_path) -> None:
    """A paper config on a file that names no classes."""
    paper = CONFIGS.parent / 'ade20k/uniformer-s-h32_fpn_8xb4-80k_ade20k-512x512.py'
    cfg = Config.fromfile(paper)
    cfg.model.backbone.init_cfg = None
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'old.pth')
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / 'a.png')
    args = (paper, tmp_path / 'old.pth', tmp_path / 'a.png', '--out-dir', tmp_path, '--opacity', 1)
    small = ('--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(64,64)')
    assert run_main(TOOL, *args, *small) == 0
    colours = {tuple(c) for c in np.asarray(Image.open(tmp_path / 'vis/a.png')).reshape(-1, 3)}
    assert colours <= {tuple(colour) for colour in ADE20KDataset.METAINFO['palette']}


def test_a_video_that_fails_midway_leaves_nothing(
    checkpoint, inputs, run_main, tmp_path, monkeypatch
) -> None:
    find, frames = MMSegInferencer.__call__, []

    def fail_at_the_second(self, frame: np.ndarray, **kwargs):
        frames.append(frame)
        if len(frames) == 2:
            raise OSError('no memory left')
        return find(self, frame, **kwargs)

    monkeypatch.setattr(MMSegInferencer, '__call__', fail_at_the_second)
    args = (CONFIG, checkpoint, inputs / 'c.avi', '--out-dir', tmp_path / 'out')
    assert 'c.avi: no memory left' in run_main(TOOL, *args)
    assert len(frames) == 2
    assert list((tmp_path / 'out/vis').iterdir()) == []


def test_a_model_of_other_classes(inputs, run_main, tmp_path) -> None:
    cfg = Config.fromfile(CONFIG)
    cfg.model.decode_head.num_classes = 7
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'a.pth')
    options = ('--cfg-options', 'model.decode_head.num_classes=7')
    message = run_main(TOOL, CONFIG, tmp_path / 'a.pth', inputs / '12.png', *options)
    assert 'tells 7 classes apart, the data set of the config has 150' in message


def test_two_inputs_of_one_name(checkpoint, inputs, run_main, tmp_path) -> None:
    (inputs / 'c.mp4').write_bytes((inputs / 'c.avi').read_bytes())
    message = run_main(TOOL, CONFIG, checkpoint, inputs, '--out-dir', tmp_path / 'out')
    assert 'Two of the inputs would be written to' in message
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_trains_resumes_tests_and_draws(run_main, read_losses, tmp_path) -> None:
    """The loop by iterations: a resumed run is the same run, and its checkpoints are there."""
    data = make_ade(tmp_path / 'ade')
    options = [
        '--cfg-options',
        *(f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')),
        *('val_dataloader.num_workers=0', 'test_dataloader.num_workers=0'),
        *('train_dataloader.batch_size=2', 'model.backbone.init_cfg=None'),
        *('model.backbone.drop_path_rate=0.2', 'train_cfg.max_iters=4', 'train_cfg.val_interval=2'),
        *('default_hooks.checkpoint.interval=2', 'default_hooks.logger.interval=1'),
    ]
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    # Runs in one process share a visualizer, and with it a log, if its name is the same.
    args = ('--work-dir', whole, *options, 'visualizer.name=whole')
    assert run_main('tools/train.py', CONFIG, *args) == 0
    names = {p.name for p in whole.glob('*.pth')}
    assert names >= {'iter_2.pth', 'iter_4.pth'}
    assert len([name for name in names if name.startswith('best_mIoU_iter_')]) == 1
    args = ('--work-dir', resumed, '--resume', whole / 'iter_2.pth', *options)
    assert run_main('tools/train.py', CONFIG, *args, 'visualizer.name=resumed') == 0
    expected, found = read_losses(whole), read_losses(resumed)
    assert (list(expected), list(found)) == ([1, 2, 3, 4], [3, 4])
    assert found == {step: expected[step] for step in found}

    last = whole / 'iter_4.pth'
    for name, extra in (('plain', ()), ('tta', ('--tta',))):
        out = tmp_path / name
        files = ('--out', out / 'a.json', '--dump', out / 'a.pkl', '--show-dir', out / 'show')
        args = (CONFIG, last, '--work-dir', out / 'work', *extra, *files, *options)
        assert run_main('tools/test.py', *args, f'visualizer.name={name}') == 0
        assert {'aAcc', 'mIoU', 'mAcc'} == set(json.loads((out / 'a.json').read_text()))
        dump = pickle.loads((out / 'a.pkl').read_bytes())
        assert [sample['pred_sem_seg']['data'].shape[1:] for sample in dump] == [
            sample['ori_shape'] for sample in dump
        ]
        # Truth and prediction side by side, at the size of the image.
        sizes = {p.name[:6]: Image.open(p).size for p in (out / 'show').rglob('*.png')}
        assert sizes == {
            **{'test_0': (180, 70), 'test_1': (140, 90)},
            **{'test_2': (300, 66), 'test_3': (150, 75)},
        }
