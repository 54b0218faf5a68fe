"""The demo, with its commands replaced, and the pictures it asks for."""

import dataclasses
import importlib.util
import json
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from grid import GAP
from mmengine.config import Config
from PIL import Image
from pycocotools import mask as rle


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(repo_root, tmp_path, monkeypatch) -> ModuleType:
    module = load(repo_root / 'tools/demo.py')
    monkeypatch.setattr(module, 'OUT', tmp_path)
    monkeypatch.chdir(repo_root)
    return module


@pytest.fixture
def commands(demo, monkeypatch) -> list[list[str]]:
    """The commands a demo asks for; training and testing pretend to have worked."""
    asked = []

    def run(*args: object, on_line=None) -> None:
        command = [str(arg) for arg in args]
        asked.append(command)
        if command[0] == 'tools/train.py':
            work_dir = Path(command[command.index('--work-dir') + 1])
            work_dir.mkdir(parents=True, exist_ok=True)
            loop = Config.fromfile(command[1]).train_cfg
            unit, length = (
                ('epoch', loop.max_epochs) if 'max_epochs' in loop else ('iter', loop.max_iters)
            )
            (work_dir / f'{unit}_{length}.pth').write_bytes(command[1].encode())
        if command[0] == 'tools/test.py':
            Path(command[command.index('--out') + 1]).write_text(json.dumps(demo.fake_metrics))

    monkeypatch.setattr(demo, 'run', run)
    demo.fake_metrics = {
        'accuracy/top1': 97.2,
        'coco/bbox_mAP_50': 0.8123,
        'coco/segm_mAP_50': 0.7,
        'mIoU': 61.04,
        'coco/AP': 0.7041,
        'acc/top1': 0.985,
    }
    return asked


def test_makes_data_trains_tests_and_draws(demo, commands, tmp_path, capsys) -> None:
    demo.run_demo('cls')
    assert [command[0] for command in commands] == [
        'tools/data/make_mini.py',
        'tools/train.py',
        'tools/test.py',
        'tools/visualization/prediction_grid.py',
        'tools/visualization/training_curve.py',
    ]
    for script, *_ in commands:
        assert (demo.REPO / script).is_file()
    assert b'digits' in (tmp_path / 'cls/classifier.pth').read_bytes()
    summary = json.loads((tmp_path / 'cls/summary.json').read_text())
    assert summary['metrics']['accuracy/top1']['value'] == 97.2
    assert Path(summary['run']) == tmp_path / 'cls/run_001'
    assert 'Held-out data: top-1 accuracy (%) 97.2' in capsys.readouterr().out
    page = (tmp_path / 'index.html').read_text()
    assert '<b>top-1 accuracy (%) 97.2</b> (expected at least 95)' in page
    assert '<img src="cls/predictions.png"' in page


def test_a_missed_target_is_an_error(demo, commands, monkeypatch, tmp_path) -> None:
    demo.fake_metrics['accuracy/top1'] = 94.9
    monkeypatch.setattr(sys, 'argv', ['demo.py', 'cls'])
    with pytest.raises(SystemExit, match=r'top-1 accuracy \(%\) 94.9, expected at least 95'):
        demo.main()
    assert (tmp_path / 'cls/summary.json').is_file()


def test_detection_starts_from_the_classifier(demo, commands, tmp_path, capsys) -> None:
    demo.run_demo('det')
    scripts = [command[0] for command in commands]
    assert scripts[5:] == [
        'tools/data/make_mini.py',
        'tools/train.py',
        'tools/test.py',
        'tools/visualization/detection_grid.py',
        'tools/visualization/training_curve.py',
    ]
    assert commands[5][1:] == ['coco']
    for script in scripts:
        assert (demo.REPO / script).is_file()
    summary = json.loads((tmp_path / 'det/summary.json').read_text())
    assert summary['metrics']['coco/bbox_mAP_50'] == dict(
        label='box AP50', value=0.8123, text='box AP50 0.812', target=0.6
    )
    assert Path(summary['weights']).read_bytes() == summary['config'].encode()
    assert 'box AP50 0.812   mask AP50 0.700' in capsys.readouterr().out

    commands.clear()
    demo.run_demo('det')
    assert [command[0] for command in commands] == scripts[5:], 'the classifier is there now'
    assert (tmp_path / 'det/run_002').is_dir()


def test_one_segmentor_is_tested_in_two_styles(demo, commands, tmp_path, capsys) -> None:
    demo.run_demo('seg')
    tools = ('tools/train.py', 'tools/test.py')
    train, hybrid, plain = [command for command in commands if command[0] in tools][-3:]
    checkpoint = tmp_path / 'seg/run_001/iter_750.pth'
    assert train[1] == hybrid[1] == plain[1]
    assert hybrid[2] == plain[2] == str(checkpoint)
    styles = ['model.backbone.stage3_style=hybrid', 'model.backbone.window_size=6']
    assert hybrid[-3:] == ['--cfg-options', *styles]
    assert '--cfg-options' not in plain
    summary = json.loads((tmp_path / 'seg/summary.json').read_text())
    assert list(summary['variants'].values()) == [['mean IoU (%) 61.0']]
    assert summary['metrics']['mIoU']['target'] == 50


def test_poses_are_drawn(demo, commands, tmp_path) -> None:
    demo.run_demo('pose')
    data, train, test, picture, _ = commands[-5:]
    assert data[1:] == ['pose']
    assert picture == [
        'tools/visualization/pose_grid.py',
        train[1],
        test[test.index('--dump') + 1],
        str(tmp_path / 'pose/predictions.png'),
    ]
    summary = json.loads((tmp_path / 'pose/summary.json').read_text())
    assert summary['metrics']['coco/AP'] == dict(
        label='keypoint AP', value=0.7041, text='keypoint AP 0.704', target=0.5
    )
    for step in demo.DEMOS['pose'].next_steps:
        assert (demo.REPO / step.split()[1]).is_file()


def test_clips_and_single_frames(demo, commands, tmp_path, capsys) -> None:
    demo.run_demo('video')
    frame, clip, plain = [c for c in commands if c[0] == 'tools/test.py'][-3:]
    cfg = Config.fromfile(plain[1])
    sampler = cfg.test_dataloader.dataset.pipeline[1]
    assert sampler.num_clips == 4
    for command, changes in ((frame, dict(frame_interval=0)), (clip, dict(num_clips=1))):
        options = dict(
            option.split('=') for option in command[command.index('--cfg-options') :][1:]
        )
        prefix = 'test_dataloader.dataset.pipeline.1.'
        for key, value in changes.items():
            assert options[prefix + key] == str(value)
            assert sampler[key] != value
    grid = next(c for c in commands if c[0] == 'tools/visualization/clip_grid.py')
    assert grid[1] == plain[1]
    assert 'every clip a single frame, repeated (chance is 0.250): top-1 accuracy 0.985' in (
        capsys.readouterr().out
    )
    weights = json.loads((tmp_path / 'video/summary.json').read_text())['weights']
    mini = Config.fromfile(demo.REPO / 'configs/mini/uniformer-mini_u16_1xb8_sthv2-digits-rgb.py')
    assert weights.endswith(mini.model.backbone.init_cfg.checkpoint.removeprefix('work_dirs/demo/'))


@pytest.mark.parametrize(
    'name',
    [
        'mask-rcnn_uniformer-mini-h_fpn_coco-digits',
        'uniformer-mini-g_fpn_ade20k-digits',
        'td-hm_uniformer-mini_coco-people',
        'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb',
    ],
)
def test_demos_start_where_the_classification_demo_leaves_its_weights(name, repo_root) -> None:
    cfg = Config.fromfile(repo_root / f'configs/mini/{name}.py')
    weights = load(repo_root / 'tools/demo.py').OUT / 'cls/classifier.pth'
    assert cfg.model.backbone.init_cfg.checkpoint == str(weights)


@pytest.mark.parametrize('masks', [{'coco/segm_mAP_50': 0.49}, {}])
def test_a_detector_that_misses_its_mark_is_an_error(demo, commands, masks) -> None:
    demo.fake_metrics = {'accuracy/top1': 97.2, 'coco/bbox_mAP_50': 0.61, **masks}
    value = masks.get('coco/segm_mAP_50', 0.0)
    with pytest.raises(demo.DemoError, match=f'mask AP50 {value:.3f}, expected at least 0.5'):
        demo.run_demo('det')


def test_a_finished_run_is_kept_and_an_interrupted_one_goes_on(demo, tmp_path) -> None:
    assert demo.next_run(tmp_path).name == 'run_001'
    (tmp_path / 'run_001').mkdir()
    assert demo.next_run(tmp_path).name == 'run_001'
    (tmp_path / 'run_001/metrics.json').write_text('{}')
    assert demo.next_run(tmp_path).name == 'run_002'


def test_progress_is_one_line_an_epoch(demo, capsys) -> None:
    progress = demo.Progress({'accuracy/top1': demo.Score('top-1', 95.0, '{:5.1f} %')}, 16)
    for line in (
        '11/20 16:20:03 - mmengine - INFO - Epoch(train)  [2][ 60/125]  lr: 5e-04  loss: 2.0000',
        '11/20 16:20:04 - mmengine - INFO - Epoch(train)  [2][120/125]  lr: 5e-04  loss: 1.0000',
        '11/20 16:20:05 - mmengine - INFO - Epoch(val) [2][5/5]    accuracy/top1: 46.2000  '
        'accuracy/top5: 90.0000  accuracy/top1_origin: 40.0000',
        'The best checkpoint with 46.2 accuracy/top1 at 2 epoch is saved',
    ):
        progress(line)
    (line,) = capsys.readouterr().out.splitlines()
    assert 'epoch   2 of 16   loss 1.500   top-1  46.2 %' in line


def test_progress_of_several_scores(demo, capsys) -> None:
    progress = demo.Progress(demo.DEMOS['det'].scores, 6)
    for line in (
        'Epoch(train)  [2][ 60/120]  lr: 5e-04  loss: 2.0000  loss_rpn_cls: 0.1',
        'Epoch(val) [2][120/120]    eta: 0:00:00  time: 0.1',
        'Epoch(val) [2][120/120]    coco/bbox_mAP: 0.3000  coco/bbox_mAP_50: 0.5310  '
        'coco/segm_mAP: 0.2000  coco/segm_mAP_50: 0.4800  data_time: 0.1',
    ):
        progress(line)
    (line,) = capsys.readouterr().out.splitlines()
    assert 'epoch   2 of 6   loss 2.000   box AP50 0.531   mask AP50 0.480' in line


def test_progress_of_iterations(demo, capsys) -> None:
    progress = demo.Progress({'mIoU': demo.Score('mIoU', 50.0, '{:.1f}')}, 400)
    for line in (
        'Iter(train) [ 50/400]  base_lr: 1e-04 lr: 1e-04  eta: 0:01:00  loss: 3.0  decode.loss: 2',
        'Iter(train) [100/400]  base_lr: 1e-04 lr: 1e-04  eta: 0:01:00  loss: 2.0  decode.loss: 1',
        'Iter(val) [20/20]    aAcc: 90.1000  mIoU: 41.2000  mAcc: 50.0000  time: 0.1',
    ):
        progress(line)
    (line,) = capsys.readouterr().out.splitlines()
    assert 'iteration 100 of 400   loss 2.500   mIoU 41.2' in line


def test_variants_test_the_same_checkpoint(demo, commands, monkeypatch, capsys) -> None:
    options = {'with windows': ('model.backbone.stage3_style=window',)}
    changed = dataclasses.replace(demo.DEMOS['cls'], variants=options)
    monkeypatch.setitem(demo.DEMOS, 'cls', changed)
    demo.run_demo('cls')
    windows, plain = (command for command in commands if command[0] == 'tools/test.py')
    assert windows[-2:] == ['--cfg-options', 'model.backbone.stage3_style=window']
    assert windows[:3] == plain[:3]
    assert not set(windows[6:]) & set(plain[6:]) - {'--dump', '--out'}, 'no file is written twice'
    assert 'with windows: top-1 accuracy (%) 97.2' in capsys.readouterr().out


def test_a_failing_command_ends_the_demo_with_its_output(demo, tmp_path, capsys) -> None:
    script = tmp_path / 'fails.py'
    script.write_text('print("the reason"); raise SystemExit(3)')
    with pytest.raises(demo.DemoError, match='(?s)the reason.*ended with status 3'):
        demo.run(script, on_line=lambda line: None)
    assert f'$ python {script}' in capsys.readouterr().out


def test_prediction_grid(repo_root, tmp_path) -> None:
    grid = load(repo_root / 'tools/visualization/prediction_grid.py')
    rng = np.random.default_rng(0)
    samples = []
    for i in range(12):
        file = tmp_path / f'{i}.png'
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(file)
        samples.append(
            dict(
                img_path=str(file),
                gt_label=torch.tensor([i % 3]),
                pred_label=torch.tensor([0]),
                pred_score=torch.tensor([0.7, 0.2, 0.1]),
            )
        )
    dump = tmp_path / 'predictions.pkl'
    dump.write_bytes(pickle.dumps(samples))
    predictions = grid.read_predictions(dump)
    assert [p.is_right for p in predictions[:3]] == [True, False, False]
    assert predictions[0].confidence == pytest.approx(0.7)
    grid.draw(predictions, tmp_path / 'out/grid.png')
    assert min(Image.open(tmp_path / 'out/grid.png').size) > 200


def test_detection_grid(repo_root, tmp_path) -> None:
    grid = load(repo_root / 'tools/visualization/detection_grid.py')
    rng = np.random.default_rng(0)
    masks = np.zeros((40, 50, 2), np.uint8, order='F')
    masks[10:30, 10:40] = 1
    samples = []
    for i in range(3):
        file = tmp_path / f'{i}.png'
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file)
        found = dict(
            bboxes=torch.tensor([[10.0, 10, 40, 30]] * 2),
            labels=torch.tensor([3, 9]),
            scores=torch.tensor([0.9 if i else 0.4, 0.1]),
            masks=rle.encode(masks),
        )
        samples.append(dict(img_path=str(file), ori_shape=(40, 50), pred_instances=found))
    picture, sample = grid.read_sample(samples[1], 4, 0.5)
    assert picture.shape == (160, 200, 3)
    assert sample.pred_instances.bboxes.tolist() == [[40, 40, 160, 120]]
    assert sample.pred_instances.masks.shape == (1, 160, 200)
    assert sample.pred_instances.masks.sum() == pytest.approx(80 * 120, rel=0.02)

    cfg = Config.fromfile(repo_root / 'configs/mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py')
    assert grid.build_visualizer(cfg).dataset_meta['classes'] == tuple('0123456789')
    grid.draw(cfg, samples, tmp_path / 'out/grid.png', width=450, height=160, score_thr=0.5)
    size = Image.open(tmp_path / 'out/grid.png').size
    assert size == (2 * 200 + 3 * GAP, 2 * 160 + 3 * GAP)


def test_pose_grid(repo_root, tmp_path) -> None:
    grid = load(repo_root / 'tools/visualization/pose_grid.py')
    rng = np.random.default_rng(0)
    samples = []
    for i, (image, score) in enumerate([(0, 0.9), (0, 0.2), (0, 0.8), (1, 0.1)]):
        file = tmp_path / f'{image}.png'
        Image.fromarray(rng.integers(0, 50, (40, 50, 3), dtype=np.uint8)).save(file)
        found = dict(
            keypoints=np.full((1, 17, 2), 10.0 + i),
            keypoint_scores=np.ones((1, 17)),
            bbox_scores=np.array([score]),
        )
        samples.append(dict(img_path=str(file), pred_instances=found))
    people = grid.group_by_image(samples, 0.5)
    assert [len(found) for found in people.values()] == [2, 0]

    visualizer = grid.build_visualizer(
        Config.fromfile(repo_root / 'configs/mini/td-hm_uniformer-mini_coco-people.py')
    )
    pictures = [grid.draw_image(visualizer, *item, 160, 0.3) for item in people.items()]
    assert [picture.shape for picture in pictures] == [(160, 200, 3)] * 2
    # The joint at pixel 10 of the small image is at 4 * 10.5 - 0.5 of the large one.
    bright = pictures[0].max(-1) > 150
    assert bright[41, 41]
    assert np.argwhere(bright).mean(0) == pytest.approx([45, 45], abs=3)
    assert pictures[1].max() < 100, 'nobody is drawn'


def test_training_curve_joins_the_parts_of_a_resumed_run(repo_root, tmp_path) -> None:
    curve = load(repo_root / 'tools/visualization/training_curve.py')
    for name, steps in (('20260101_000000', (10, 20, 30)), ('20260101_000100', (30, 40))):
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        records = [dict(loss=1 / step, lr=1e-3, step=step, run=name) for step in steps]
        records.append({'accuracy/top1': float(steps[-1]), 'step': steps[-1] // 10})
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, records)))
    train, val = curve.read_scalars(tmp_path)
    assert [record['step'] for record in train] == [10, 20, 30, 40]
    assert train[2]['run'] == '20260101_000100'
    assert [record['accuracy/top1'] for record in val] == [30.0, 40.0]
    curve.draw(tmp_path, tmp_path / 'curve.png', target=95)
    assert min(Image.open(tmp_path / 'curve.png').size) > 200


def test_pictures_without_input_are_refused(run_tool, tmp_path) -> None:
    result = run_tool('tools/visualization/training_curve.py', tmp_path, tmp_path / 'c.png')
    assert result.returncode == 1
    assert 'no vis_data/scalars.json' in result.stderr
    assert 'Traceback' not in result.stderr
