"""People, boxes and files as users have them, through the mini pose config."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from small_data import DETECTIONS, make_pose
from small_runs import make_runner, use_data

from uniformer_mm import cli
from uniformer_mm.cli.messages import explain

pytest.importorskip('mmpose')

CONFIG = Path(__file__).resolve().parents[2] / 'configs/mini/td-hm_uniformer-mini_coco-people.py'
GOOD = (40, 10, 60, 90)


def make_cfg(root: Path) -> Config:
    cfg, _ = cli.load_config(
        str(CONFIG), {'train_cfg.max_epochs': 1, 'model.backbone.init_cfg': None}
    )
    use_data(cfg, root)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)
    return cfg


def train_and_test(root: Path) -> tuple[Runner, dict[str, float]]:
    runner = make_runner(make_cfg(root), root / 'work')
    runner.train()
    return runner, runner.test()


def predict(runner: Runner) -> list[np.ndarray]:
    """Keypoints of everybody that is tested, (17, 2) each."""
    model = runner.model.eval()
    return [
        sample.pred_instances.keypoints[0]
        for batch in runner.test_dataloader
        for sample in model.test_step(batch)
    ]


# Boxes with the number of labelled keypoints, and how many of them train.
CASES: dict[str, tuple[list[tuple[Any, int]], int]] = {
    'several people': ([(GOOD, 17), ((5, 5, 30, 60), 17), ((90, 20, 60, 90), 12)], 3),
    'no visible keypoint': ([(GOOD, 17), ((5, 5, 30, 60), 0)], 1),
    'partly outside': ([((-20, -30, 60, 90), 17), ((140, 90, 60, 90), 17)], 2),
    'wholly outside': ([(GOOD, 17), ((500, 400, 50, 50), 17), ((-90, -90, 40, 40), 17)], 1),
    'no area': ([(GOOD, 17), ((10, 10, 0, 50), 17), ((10, 10, 0, 0), 17)], 1),
    'one keypoint': ([(GOOD, 1), ((5, 5, 30, 60), 17)], 2),
}


@pytest.mark.parametrize(('people', 'num_trained'), CASES.values(), ids=CASES)
def test_people(people, num_trained, tmp_path) -> None:
    root = make_pose(tmp_path / 'data', people=people, num_images=2)
    runner, metrics = train_and_test(root)
    assert len(runner.train_dataloader.dataset) == 2 * num_trained
    assert 0 <= metrics['coco/AP'] <= 1
    found = predict(runner)
    assert len(found) == 2 * len(people), 'every detected box has a pose'
    assert all(np.isfinite(keypoints).all() for keypoints in found)
    # A pose lies in the padded box it was asked for, as wide or high as the input's shape needs.
    for keypoints, ((x, y, w, h), _) in zip(found, 2 * people, strict=True):
        reach = 1.25 * max(w, h) + 3
        assert (abs(keypoints - [x + w / 2, y + h / 2]) <= reach).all()


def test_an_image_smaller_than_the_input(tmp_path) -> None:
    root = make_pose(tmp_path / 'data', size=(24, 20), people=[((2, 1, 20, 18), 17)])
    runner, metrics = train_and_test(root)
    assert 'coco/AP' in metrics
    assert len(predict(runner)) == 2


def test_nobody_to_train_on_is_said(tmp_path) -> None:
    root = make_pose(tmp_path / 'data', people=[(GOOD, 0)])
    with pytest.raises(ValueError, match='concatenate') as error:
        train_and_test(root)
    assert 'people without a labelled keypoint' in explain(error.value)


def test_a_missing_detections_file_is_named(tmp_path) -> None:
    root = make_pose(tmp_path / 'data')
    (root / DETECTIONS).unlink()
    cfg = make_cfg(root)
    with pytest.raises(cli.UserError) as error:
        cli.check_data(cfg, ('test',))
    assert str(root / DETECTIONS) in str(error.value)
    assert '--cfg-options test_dataloader.dataset.bbox_file=None' in str(error.value)
    cli.check_data(cfg, ('train',))
    # Annotated boxes instead of detected ones.
    cfg.val_dataloader.dataset.bbox_file = cfg.test_dataloader.dataset.bbox_file = None
    runner = make_runner(cfg, tmp_path / 'work')
    assert 'coco/AP' in runner.test()
    assert len(predict(runner)) == 6


def test_boxes_of_other_things_and_low_scores(tmp_path) -> None:
    """Other categories are left out; no box is, for its score."""
    root = make_pose(tmp_path / 'data')
    boxes = json.loads((root / DETECTIONS).read_text())
    boxes[0]['category_id'] = 2
    boxes[1]['score'] = 0.001
    (root / DETECTIONS).write_text(json.dumps(boxes))
    runner = make_runner(make_cfg(root), tmp_path / 'work')
    assert len(runner.test_dataloader.dataset) == len(boxes) - 1
