"""The tools that draw accuracy and cost, and what a token gathers."""

import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import affinity
import make_mini
import numpy as np
import pytest
import resolution
import torch
import trade_off
import views
from PIL import Image

from uniformer_mm import UniFormer
from uniformer_mm.errors import UserError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
FIGURES = 'tools/visualization'


def is_drawn(picture: Path) -> bool:
    return np.asarray(Image.open(picture).convert('L')).std() > 10


# Accuracy against views


@pytest.fixture
def dump(tmp_path) -> Path:
    """Two videos of class 1 and 0 in 4 clips and 3 crops of 2 classes."""
    scores = torch.zeros(2, 3, 4, 2)
    scores[0, 2, :, 1] = torch.tensor([0.0, 0, 1, 0])  # the middle crop of the third clip
    scores[1, :, :, 0] = torch.tensor([1.0, 3, -1, 0])  # wrong in the third clip alone
    file = tmp_path / 'views.pkl'
    samples = [
        dict(pred_score=score.flatten(0, 1), gt_label=torch.tensor([label]))
        for score, label in zip(scores, (1, 0), strict=True)
    ]
    file.write_bytes(pickle.dumps(samples))
    return file


def test_views_are_averaged(dump, run_main, tmp_path, capsys) -> None:
    """One clip is the one past the middle, two are the second and the last."""
    logits, labels = views.read_views(dump, 3)
    assert logits.shape == (2, 3, 4, 2)
    found = views.curves(logits, labels, 'score')
    assert found == {1: [50, 50, 100, 100], 3: [50, 50, 100, 100]}
    assert run_main(f'{FIGURES}/views.py', dump, tmp_path / 'v.png', '--crops', 3) == 0
    assert is_drawn(tmp_path / 'v.png')
    assert '3 x 1: 100.00' in capsys.readouterr().out


def test_views_that_were_averaged(dump, tmp_path) -> None:
    with pytest.raises(UserError, match='12 views of each video, which are not --crops 5'):
        views.read_views(dump, 5)
    averaged = [dict(pred_score=torch.rand(3), gt_label=torch.tensor([0]))]
    dump.write_bytes(pickle.dumps(averaged))
    with pytest.raises(UserError, match='average_clips=None test_evaluator='):
        views.read_views(dump, 1)
    dump.write_bytes(pickle.dumps([dict(pred_score=torch.rand(3))]))
    with pytest.raises(UserError, match="no scores of a recognizer .KeyError: 'gt_label'"):
        views.read_views(dump, 1)


def test_dump_of_all_views(random_weights, run_main, tmp_path) -> None:
    """Three crops of a square clip are one and the same; two clips of a video are not."""
    pytest.importorskip('mmaction')
    config = CONFIGS / 'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
    data = make_mini.make('kinetics', tmp_path / 'mini', counts=dict(val=4))
    weights, file = random_weights(config), tmp_path / 'views.pkl'
    options = (
        'model.cls_head.average_clips=None',
        'test_evaluator=[]',
        'test_dataloader.num_workers=0',
        f'test_dataloader.dataset.data_root={data}',
        'test_dataloader.dataset.pipeline.1.num_clips=2',
        'test_dataloader.dataset.pipeline.4.type=ThreeCrop',
    )
    args = ('--dump', file, '--work-dir', tmp_path / 'test', '--cfg-options', *options)
    assert run_main('tools/test.py', config, weights, *args) == 0
    logits, labels = views.read_views(file, 3)
    assert logits.shape == (4, 3, 2, 4) and labels.tolist() == [0, 1, 2, 3]
    assert torch.allclose(logits, logits[:, :1].expand_as(logits), atol=1e-5)
    assert not torch.allclose(logits[:, :, 0], logits[:, :, 1])


# Scores against cost


def test_best_at_their_cost() -> None:
    points = [trade_off.Point(*p) for p in ((2, 5, 'b'), (1, 3, 'a'), (2, 6, 'c'), (3, 6, 'd'))]
    assert [point.name for point in trade_off.best(points)] == ['a', 'c']


def test_tables_are_drawn_by_data_set(run_main, tmp_path) -> None:
    points = trade_off.read_points('kinetics-dualformer', 'top-1')
    assert list(points) == ['Kinetics-400', 'Kinetics-600']
    assert trade_off.Point(1069.571899392, 81.1, 'B') in points['Kinetics-400']
    args = (f'{FIGURES}/trade_off.py', tmp_path / 't.png')
    assert run_main(*args, 'imagenet=plain', 'kinetics-dualformer') == 0
    assert is_drawn(tmp_path / 't.png')
    said = run_main(*args, 'imagenet', '--score', 'mIoU')
    assert said == 'error: No table imagenet has a column mIoU; these have: fpn, upernet.'


# Cost against resolution


def test_cost_of_the_styles(run_main, tmp_path, capsys, monkeypatch) -> None:
    """Windows that hold the whole map cost what global attention does."""
    monkeypatch.setattr(resolution.benchmark, 'peak_memory', lambda options, entry, run: 7.0)
    args = (f'{FIGURES}/resolution.py', tmp_path / 'r.png', '--arch', 'mini', '--sides', 64, 128)
    assert run_main(*args, '--window-size', 4) == 0
    assert is_drawn(tmp_path / 'r.png')
    lines = re.findall(r'(\w+) (\d+): ([\d.]+) G, plain 7 MiB', capsys.readouterr().out)
    macs = {(style, int(side)): float(cost) for style, side, cost in lines}
    assert macs['global', 64] == macs['window', 64] == macs['hybrid', 64] > 0
    assert macs['global', 128] > macs['hybrid', 128] > macs['window', 128]


# What a token gathers


def test_affinity(random_weights, run_main, images, tmp_path) -> None:
    config = CONFIGS / 'uniformer-mini_1xb32_digits.py'
    (images / '7.jpg').unlink()
    tool = f'{FIGURES}/affinity.py'
    args = (tool, config, random_weights(config), images, '--out-dir', tmp_path / 'out')
    with pytest.raises(UserError, match='--blocks 3.5: the stages of UniFormer have 1, 2, 4, 1'):
        affinity.check(SimpleNamespace(backbone=UniFormer('mini')), [(1, 1), (3, 5)])
    assert run_main(*args, '--blocks', '1.1', '3.2', '--token', 0.2, 0.9) == 0
    assert is_drawn(tmp_path / 'out/12.png')
