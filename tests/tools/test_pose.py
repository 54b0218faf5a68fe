"""Poses of given people: tools/inference/pose.py."""

import json
from pathlib import Path

import mmengine
import numpy as np
import pytest
from PIL import Image
from small_data import DETECTIONS, make_pose

pytest.importorskip('mmpose')

CONFIG = Path(__file__).resolve().parents[2] / 'configs/mini/td-hm_uniformer-mini_coco-people.py'
TOOL = 'tools/inference/pose.py'


@pytest.fixture
def run(run_main, random_weights, tmp_path):
    """Run the tool; gives what it exits with."""
    return lambda image, *args: run_main(
        TOOL, CONFIG, random_weights(CONFIG), image, '--out-dir', tmp_path / 'out', *args
    )


def predictions(tmp_path: Path, name: str) -> list[dict]:
    return json.loads((tmp_path / f'out/preds/{name}.json').read_text())


def test_given_boxes(run, images, tmp_path, capsys) -> None:
    boxes = ('--box', 2, 3, 20, 50, '--box', 25, 10, 48, 66)
    assert run(images / '7.jpg', *boxes, '--save-predictions') == 0
    assert '7.jpg: poses of 2 people' in capsys.readouterr().out
    assert Image.open(tmp_path / 'out/vis/7.jpg').size == (50, 70)
    first, second = predictions(tmp_path, '7')
    assert np.shape(first['keypoints']) == (17, 2)
    assert first['bbox'] == [[2, 3, 20, 50]]
    assert second['bbox'] == [[25, 10, 48, 66]]
    assert first['bbox_score'] == second['bbox_score'] == 1
    # Each person is found alone as beside others.
    assert run(images / '7.jpg', *boxes[5:], '--save-predictions', '--overwrite') == 0
    (alone,) = predictions(tmp_path, '7')
    assert np.allclose(alone['keypoints'], second['keypoints'])


def test_predictions_are_not_overwritten(run, images, tmp_path) -> None:
    file = tmp_path / 'out/preds/7.json'
    file.parent.mkdir(parents=True)
    file.write_text('mine')
    said = run(images / '7.jpg', '--save-predictions')
    assert f'{file} exists already; add --overwrite' in said
    (images / '12.jpg').write_bytes((images / '7.jpg').read_bytes())
    said = run(images, '--save-predictions', '--overwrite')
    assert f'Two of the inputs would be written to {file.with_name("12.json")}' in said
    assert file.read_text() == 'mine'
    assert not (tmp_path / 'out/vis').exists()


def test_coco_results(run, images, tmp_path, capsys) -> None:
    """Other categories, low scores and boxes without an area are left out."""
    results = [
        dict(image_id=7, category_id=1, bbox=[1, 2, 30, 40], score=0.9),
        dict(image_id=7, category_id=1, bbox=[1, 2, 30, 40], score=0.1),
        dict(image_id=7, category_id=3, bbox=[1, 2, 30, 40], score=0.9),
        dict(image_id=7, category_id=1, bbox=[1, 2, 0, 40], score=0.9),
    ]
    file = tmp_path / 'results.json'
    file.write_text(json.dumps(results))
    assert run(images, '--boxes', file, '--save-predictions') == 0
    said = capsys.readouterr().out
    assert '7.jpg: poses of 1 people' in said
    assert '12.png: no person' in said
    assert predictions(tmp_path, '12') == []
    (found,) = predictions(tmp_path, '7')
    assert found['bbox'] == [[1, 2, 31, 42]]
    assert found['bbox_score'] == pytest.approx(0.9)


def test_predictions_of_a_detector(run, images, tmp_path, capsys) -> None:
    folder = tmp_path / 'preds'
    folder.mkdir()
    found = dict(bboxes=[[5, 5, 40, 60], [0, 0, 9, 9]], labels=[0, 4], scores=[0.8, 0.9])
    (folder / '7.json').write_text(json.dumps(found))
    assert run(images / '7.jpg', '--boxes', folder) == 0
    assert '7.jpg: poses of 1 people' in capsys.readouterr().out
    assert f'There is no file of boxes {folder}/12.json' in run(
        images, '--boxes', folder, '--overwrite'
    )


def test_detector(run, run_main, random_weights, images, tmp_path, capsys) -> None:
    """The people that it finds are those that detect.py writes."""
    pytest.importorskip('mmdet')
    config = CONFIG.with_name('mask-rcnn_uniformer-mini-h_fpn_coco-digits.py')
    detector = (config, random_weights(config))
    args = ('--out-dir', tmp_path / 'found', '--save-predictions')
    assert run_main('tools/inference/detect.py', *detector, images / '7.jpg', *args) == 0
    surest = json.loads((tmp_path / 'found/preds/7.json').read_text())
    label, score = surest['labels'][0], surest['scores'][0]
    which = ('--label', label, '--box-thr', score - 1e-4, '--save-predictions', '--overwrite')
    assert run(images / '7.jpg', '--boxes', tmp_path / 'found/preds', *which) == 0
    expected = predictions(tmp_path, '7')
    assert len(expected) > 0
    assert run(images / '7.jpg', '--detector', *detector, *which) == 0
    found = predictions(tmp_path, '7')
    for person, same in zip(found, expected, strict=True):
        assert np.allclose(person['bbox'], same['bbox'], atol=1e-3)
        assert np.allclose(person['keypoints'], same['keypoints'], atol=1e-2)
    capsys.readouterr()
    assert run(images / '7.jpg', '--detector', *detector, '--box-thr', 1, '--overwrite') == 0
    assert '7.jpg: no person' in capsys.readouterr().out
    said = run(images / '7.jpg', '--detector', *detector, '--label', -1, '--overwrite')
    assert said.startswith('error: --label -1: the detector has ')


def test_no_boxes_mean_the_whole_image(run, images, tmp_path) -> None:
    assert run(images, '--save-predictions') == 0
    (found,) = predictions(tmp_path, '12')
    assert found['bbox'] == [[0, 0, 90, 33]]


def test_errors(run, images, tmp_path) -> None:
    assert 'expected X1 < X2' in run(images, '--box', 9, 9, 9, 20)
    assert 'There is no file of boxes' in run(images, '--boxes', tmp_path / 'nothing.json')
    wrong = tmp_path / 'wrong.json'
    for content in ('{"a": 1}', '[{"image_id": 7}]', 'no json'):
        wrong.write_text(content)
        assert f'--boxes {wrong}: expected COCO results' in run(images, '--boxes', wrong)
    (images / 'a.mp4').write_text('')
    said = run(images, '--boxes', wrong)
    assert said.endswith(f'let --detector find the people of {images}/a.mp4.')


def test_pictures_and_predictions_of_a_test(random_weights, run_main, tmp_path) -> None:
    data = make_pose(tmp_path / 'data')
    options = [
        *('test_dataloader.num_workers=0', f'test_dataloader.dataset.data_root={data}'),
        f'test_dataloader.dataset.bbox_file={data / DETECTIONS}',
        f'test_evaluator.ann_file={data}/annotations/person_keypoints_val2017.json',
    ]
    dump, pictures = tmp_path / 'poses.pkl', tmp_path / 'pictures'
    code = run_main(
        *('tools/test.py', CONFIG, random_weights(CONFIG), '--work-dir', tmp_path / 'work'),
        *('--show-dir', pictures, '--dump', dump, '--cfg-options', *options),
    )
    assert code == 0
    samples = mmengine.load(str(dump))
    assert len(samples) == 6
    assert samples[0]['pred_instances']['keypoints'].shape == (1, 17, 2)
    assert len(list(pictures.iterdir())) == 6, 'one for each person'
    code = run_main(
        'tools/test.py', CONFIG, random_weights(CONFIG), '--tta', '--cfg-options', *options
    )
    assert 'For pose use --cfg-options model.test_cfg.flip_test=True' in code
