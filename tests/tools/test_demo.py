"""The demo, with its commands replaced, and the pictures it asks for."""

import copy
import functools
import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import draw
import numpy as np
import pytest
import torch
import training_curve
from mmengine.config import Config
from paper_configs import with_options
from PIL import Image
from pycocotools import mask as rle

from uniformer_mm.cli.config import check_keys
from uniformer_mm.cli.numbers import check_numbers

REPO = Path(__file__).resolve().parents[2]
METRICS = {
    **{'accuracy/top1': 97.2, 'coco/bbox_mAP_50': 0.8123, 'coco/segm_mAP_50': 0.7},
    **{'mIoU': 61.04, 'coco/AP': 0.7041, 'acc/top1': 0.985},
}
read_config = functools.cache(Config.fromfile)


@pytest.fixture
def demo(tmp_path, monkeypatch) -> ModuleType:
    """The demo; training and testing pretend to work, and its ``commands`` are noted."""
    spec = importlib.util.spec_from_file_location('demo', REPO / 'tools/demo/run.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'demo', module)  # dataclasses look there
    spec.loader.exec_module(module)
    module.commands, module.real_run, module.metrics = [], module.run, METRICS

    def run(*args: object, **_: object) -> None:
        command = [str(arg) for arg in args]
        assert (REPO / command[0]).is_file()
        module.commands.append(command)
        if command[0] == 'tools/train.py':
            work_dir = Path(command[command.index('--work-dir') + 1])
            work_dir.mkdir(parents=True, exist_ok=True)
            loop = read_config(command[1]).train_cfg
            unit = 'epoch' if 'max_epochs' in loop else 'iter'
            (work_dir / f'{unit}_{loop[f"max_{unit}s"]}.pth').write_bytes(command[1].encode())
        elif command[0] == 'tools/test.py':
            Path(command[command.index('--out') + 1]).write_text(json.dumps(module.metrics))
        elif command[0] == 'tools/visualization/draw.py':
            Image.new('RGB', (80, 10)).save(command[command.index('--first-row') + 1])

    monkeypatch.setattr(module, 'run', run)
    monkeypatch.setattr(module, 'OUT', tmp_path)
    monkeypatch.setattr(Config, 'fromfile', read_config)
    monkeypatch.chdir(REPO)
    return module


@pytest.mark.parametrize('name', ['cls', 'det', 'seg', 'pose', 'video'])
def test_makes_data_trains_tests_and_draws(demo, name, tmp_path, capsys) -> None:
    demo.run_demo(name)
    part = demo.DEMOS[name]
    for options in part.variants.values():  # which the tools do not refuse
        cfg = with_options(part.config, options)
        check_keys(part.config, cfg)
        check_numbers(cfg)
    expected = [
        *('tools/demo/make_mini.py', 'tools/train.py'),
        *['tools/test.py' for _ in (*part.variants, 'as it is')],
        *('tools/visualization/draw.py', 'tools/visualization/training_curve.py'),
    ]
    scripts = [command[0] for command in demo.commands]
    assert scripts[-len(expected) :] == expected
    assert (len(scripts) > len(expected)) == (name != 'cls'), 'others start from the classifier'
    said = capsys.readouterr().out
    assert f'Held-out data: {part.write(METRICS)}' in said
    assert (tmp_path / f'{name}/{part.weights}.pth').read_bytes() == part.config.encode()
    page = (tmp_path / 'index.html').read_text()
    assert f'<b>{part.write(METRICS)}</b> (expected at least ' in page
    assert Image.open(tmp_path / 'demo.jpg').width == 800
    for step in part.next_steps:
        script = step.split()[0]
        if script != 'make':
            assert (REPO / script).is_file()
            script = f'{sys.executable.removeprefix(f"{REPO}/")} {script}'
        assert f'\n  {script} ' in said, 'as it can be typed in any shell'

    # Every test is of the same checkpoint, and none writes over another's files.
    tests = [command for command in demo.commands if command[1] == part.config][1:-1]
    assert len({command[2] for command in tests}) == 1
    assert len({command[command.index('--dump') + 1] for command in tests}) == len(tests)
    cfg = read_config(part.config)
    for command, options in zip(tests, part.variants.values(), strict=False):
        assert command[-len(options) :] == list(options)
        changed = copy.deepcopy(cfg)
        changed.merge_from_dict(dict(option.split('=') for option in options))
        assert changed.to_dict() != cfg.to_dict()
    if name != 'cls':
        assert cfg.model.backbone.init_cfg.checkpoint == 'work_dirs/demo/cls/classifier.pth'

    demo.commands.clear()
    demo.run_demo(name)
    assert [command[0] for command in demo.commands] == expected, 'the classifier is there now'
    assert (tmp_path / name / 'run_002').is_dir(), 'a finished run is kept'
    (tmp_path / name / 'run_002/metrics.json').unlink()
    assert demo.next_run(tmp_path / name).name == 'run_002', 'an interrupted one goes on'


def test_a_missed_target_is_an_error(demo, monkeypatch, tmp_path) -> None:
    demo.metrics = {'accuracy/top1': 94.9}
    monkeypatch.setattr(sys, 'argv', ['run.py', 'cls'])
    with pytest.raises(SystemExit, match=r'top-1 accuracy \(%\) 94.9, expected at least 95'):
        demo.main()
    assert (tmp_path / 'cls/summary.json').is_file()


def write_scalars(folder: Path, *records: dict, end: str = '\n') -> None:
    file = folder / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open('a') as stream:
        stream.write('\n'.join(map(json.dumps, records)) + end)


def test_progress_is_one_line_an_evaluation(demo, tmp_path, capsys) -> None:
    found = {'coco/bbox_mAP_50': 0.531, 'coco/segm_mAP_50': 0.48, 'time': 0.1, 'step': 2}
    write_scalars(tmp_path / '1', dict(loss=9.0, epoch=1, step=60), found)
    progress = demo.Progress(tmp_path, demo.DEMOS['det'], 6)
    losses = (dict(loss=2.0, epoch=2, step=60), dict(loss=1.0, epoch=2, step=120))
    write_scalars(tmp_path / '2', *losses, found, end='')
    progress()
    assert not capsys.readouterr().out, 'a line that is being written'
    write_scalars(tmp_path / '2')
    progress()
    write_scalars(tmp_path / '2', dict(loss=1.0, step=150), dict(time=0.1, step=150))
    progress()
    first, second = capsys.readouterr().out.splitlines()
    assert 'epoch   2 of 6   loss 1.500   box AP50 0.531   mask AP50 0.480   0:00:0' in first
    assert 'iteration 150 of 6   loss 1.000   box AP50 0.000' in second

    train, val = training_curve.read_scalars(tmp_path)
    assert [record['loss'] for record in train] == [2.0, 1.0, 1.0], 'the later run counts'
    assert [record['step'] for record in val] == [2, 150]


def test_a_failing_command_ends_the_demo_with_its_output(demo, tmp_path, capsys) -> None:
    script = tmp_path / 'fails.py'
    script.write_text('print("the reason"); raise SystemExit(3)')
    with pytest.raises(demo.DemoError, match=r'fails\.py ended with status 3'):
        demo.real_run(script, quiet=True)
    printed = capsys.readouterr()
    assert f'$ {demo.PYTHON} {script}' in printed.out
    assert printed.err == 'the reason\n'


def test_the_classifier_needs_no_package_of_other_tasks() -> None:
    """Nor mmcv's compiled ops: what `make demo` runs beside the training imports without them."""
    others = ('mmcv.ops', 'mmdet', 'mmseg', 'mmpose', 'mmaction', 'pycocotools', 'av')
    folders = [str(REPO / 'tools' / name) for name in ('demo', 'visualization')]
    code = f'import sys; sys.modules.update(dict.fromkeys({others})); sys.path[:0] = {folders}\n'
    code += 'import run, make_mini, draw, training_curve'
    subprocess.run([sys.executable, '-c', code], check=True, cwd=REPO, env={'PYTHONPATH': '.'})


@pytest.fixture
def image(tmp_path) -> str:
    Image.new('RGB', (40, 20), (20, 30, 40)).save(tmp_path / 'a.png')
    return str(tmp_path / 'a.png')


def read_tiles(config: str, samples: list[dict], **args: object) -> list[draw.Tile]:
    defaults = dict(number=9, height=40, score_thr=0.5, classes=None)
    cfg = read_config(REPO / f'configs/mini/{config}.py')
    draw.DefaultScope.get_instance('draw', scope_name=cfg.default_scope)
    return list(draw.KINDS[cfg.default_scope][0](cfg, samples, Namespace(**defaults | args)))


def test_classified_samples(image, tmp_path) -> None:
    scores = torch.tensor([0.7, 0.2, 0.1])
    samples = [
        dict(img_path=image, gt_label=i % 3, pred_label=0, pred_score=scores + (i == 5) * 0.2)
        for i in range(12)
    ]
    tiles = read_tiles('uniformer-mini_1xb32_digits', samples, number=6)
    assert [tile.caption for tile in tiles] == ['0  70 %'] * 4 + ['2 → 0  90 %', '1 → 0  70 %']
    draw.save_grid(tiles, tmp_path / 'out/grid.png', width=200, title='six')
    size = Image.open(tmp_path / 'out/grid.png').size
    assert size == (2 * 80 + 3 * 12, 12 + 36 + 3 * (20 + 40 + 12))


def test_clips(monkeypatch) -> None:
    clips = [dict(imgs=[np.full((20, 20, 3), i, np.uint8)] * 32, clip_len=16) for i in range(3)]
    dataset = SimpleNamespace(read=clips.__getitem__)
    monkeypatch.setattr(draw, 'build_dataset', lambda cfg: dataset)
    sample = dict(gt_label=1, pred_label=0, pred_score=torch.tensor([0.88, 0.12]))
    config = 'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb'
    tiles = read_tiles(config, [sample] * 3, number=6, classes=['left', 'right'])
    assert [tile.picture.shape for tile in tiles] == [(40, 8 * 40 + 7 * 4, 3)] * 2
    assert tiles[1].caption == 'right → left  88 %'
    assert tiles[1].picture[0, 0].tolist() == [1, 1, 1]


def test_detections(image) -> None:
    mask = np.zeros((20, 40, 2), np.uint8, order='F')
    mask[5:15, 10:30] = 1
    found = dict(
        bboxes=torch.tensor([[10.0, 5, 30, 15]] * 2),
        labels=torch.tensor([3, 9]),
        scores=torch.tensor([0.9, 0.1]),
        masks=rle.encode(mask),
    )
    sample = dict(img_path=image, ori_shape=(20, 40), pred_instances=found)
    (tile,) = read_tiles('mask-rcnn_uniformer-mini-h_fpn_coco-digits', [sample], height=80)
    changed = np.argwhere((tile.picture != (20, 30, 40)).any(2))
    assert changed.min(0) == pytest.approx([20, 40], abs=3)
    assert changed.max(0) == pytest.approx([60, 120], abs=3)
    assert len(changed) > 0.9 * 40 * 80


def test_regions_beside_the_truth(image) -> None:
    found = torch.full((1, 20, 40), 3)
    truth = found.clone()
    truth[:, :, :10] = 255
    sample = dict(img_path=image, pred_sem_seg=dict(data=found), gt_sem_seg=dict(data=truth))
    (tile,) = read_tiles('uniformer-mini-g_fpn_ade20k-digits', [sample])
    assert tile.picture.shape == (40, 3 * 80 + 2 * 4, 3)
    plain, region, right = (tile.picture[20, x].tolist() for x in (40, 84 + 10, 168 + 60))
    assert plain == [20, 30, 40]
    assert region == right != plain
    assert tile.picture[20, 168 + 10].max() < 40, 'no class, no colour'


def test_poses_of_one_image(image) -> None:
    other = shutil.copy(image, f'{image}.png')
    samples = []
    for path, score in [(image, 0.9), (image, 0.2), (image, 0.8), (other, 0.1)]:
        found = dict(keypoints=np.full((1, 17, 2), 10.0), keypoint_scores=np.ones((1, 17)))
        samples.append(
            dict(img_path=path, pred_instances=found | dict(bbox_scores=np.array([score])))
        )
    seen, empty = read_tiles('td-hm_uniformer-mini_coco-people', samples, height=80)
    # The joint at pixel 10 of the small image is at 4 * 10.5 - 0.5 of the large one.
    assert np.argwhere(seen.picture.max(-1) > 100).mean(0) == pytest.approx([41.5] * 2, abs=1)
    assert empty.picture.max() < 50, 'nobody is drawn'


def test_pictures_from_the_command_line(run_main, image, tmp_path) -> None:
    config, dump = REPO / 'configs/mini/uniformer-mini_1xb32_digits.py', tmp_path / 'dump.pkl'
    missing = run_main('tools/visualization/draw.py', config, dump, tmp_path / 'all.png')
    assert missing == f'error: There is no file {dump}.'
    scores = torch.tensor([0.9, 0.1])
    sample = dict(img_path=image, gt_label=0, pred_label=0, pred_score=scores)
    dump.write_bytes(pickle.dumps([sample]))
    args = (config, dump, tmp_path / 'all.png', '--first-row', tmp_path / 'row.png')
    assert run_main('tools/visualization/draw.py', *args) == 0
    assert Image.open(tmp_path / 'all.png').height > Image.open(tmp_path / 'row.png').height

    args = ('tools/visualization/training_curve.py', tmp_path, tmp_path / 'curve.png')
    assert run_main(*args).startswith('error: no vis_data/scalars.json')
    write_scalars(tmp_path / '1', dict(loss=1.0, lr=0.1, step=1), {'a/b': 1, 'step': 1})
    assert run_main(*args) == 0
    assert Image.open(tmp_path / 'curve.png').width > 200
