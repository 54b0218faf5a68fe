"""Annotation files of COCO with what should not be in them."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle

pytest.importorskip('mmdet')
pytest.importorskip('mmpose')

from mini.people import DETECTIONS  # noqa: E402
from mmengine.registry import DATASETS, METRICS, DefaultScope  # noqa: E402
from small_data import CLASSES, make_coco, make_pose  # noqa: E402

from uniformer_mm.cli import UserError  # noqa: E402
from uniformer_mm.datasets.coco_check import check_coco  # noqa: E402

BOX, SIZE = [1, 2, 30, 20], (60, 80)
PERSON = dict(keypoints=[5, 5, 2] * 17, num_keypoints=17)


def runs(shape: tuple[int, int] = SIZE, compressed: bool = False) -> dict:
    mask = np.zeros(shape, np.uint8, order='F')
    mask[5:20, 3:9] = mask[30:40, 50:52] = 1
    if compressed:
        return dict(size=list(shape), counts=rle.encode(mask)['counts'].decode())
    changes = np.flatnonzero(np.diff(mask.ravel('F'), prepend=0, append=2))
    return dict(size=list(shape), counts=np.diff(changes, prepend=0).tolist())


def content(**changes: object) -> dict:
    annotation = dict(
        id=7, image_id=1, category_id=1, bbox=BOX, area=600, iscrowd=0, segmentation=[[1, 2] * 4]
    )
    annotation |= changes
    annotation = {key: value for key, value in annotation.items() if value is not ...}
    image = dict(id=1, file_name='a.jpg', height=SIZE[0], width=SIZE[1])
    return dict(images=[image], annotations=[annotation], categories=[dict(id=1, name='a')])


@pytest.mark.parametrize(
    ('changes', 'fault'),
    [
        (dict(id=...), 'no id'),
        (dict(image_id=5), 'an image_id'),
        (dict(image_id=[1]), 'an image_id'),
        (dict(category_id=None), 'no category_id'),
        *(
            (dict(bbox=box), 'a bbox')
            for box in (..., None, [], BOX[:3], [*BOX[:3], math.nan], [1, 2, -3, 4], [0, 0, 1, 1e9])
        ),
        (dict(iscrowd='no'), 'an iscrowd'),
        (dict(segmentation=...), 'no segmentation'),
        (dict(segmentation=[]), 'no segmentation'),
        (dict(segmentation=[[1, 2, 3, 4]]), 'polygons'),
        (dict(segmentation=[[1, 2] * 3 + [5]]), 'polygons'),
        (dict(segmentation=[[1, 2, 3, 4, 5, math.inf]]), 'polygons'),
        (dict(segmentation=[[1, 2, 3, 4, 5, 1e12]]), 'polygons'),
        (dict(segmentation='mask'), 'a segmentation'),
        (dict(segmentation=runs((61, 80))), 'an RLE'),
        (dict(segmentation=runs((61, 80), compressed=True)), 'an RLE'),
        (dict(segmentation=dict(runs(), counts=[99999])), 'an RLE'),
        (dict(segmentation=dict(runs(), counts='zzz')), 'an RLE'),
        (dict(segmentation=dict(size=list(SIZE))), 'an RLE'),
    ],
)
def test_left_out(changes, fault, log) -> None:
    data = content(**changes)
    check_coco(data, 'train.json', needs_masks=True)
    assert data['annotations'] == []
    number = changes.get('id', 7)
    assert 'train.json: 1 of 1 annotations cannot be used and are left out: ' + fault in log.text
    assert number is ... or f': {number}.' in log.text


@pytest.mark.parametrize('mask', [runs(), runs(compressed=True), [[1, 2] * 3]])
def test_kept_as_it_is(mask, log) -> None:
    data = content(segmentation=mask, iscrowd=1)
    before = copy.deepcopy(data)
    check_coco(data, 'train.json', needs_masks=True)
    assert data == before | dict(info={})
    assert not log.text


def test_completed() -> None:
    data = content(iscrowd=None, area=math.nan, segmentation=[[1, 2], [1, 2, 3, 4, 5, 6]])
    check_coco(data, 'train.json', needs_masks=True)
    (annotation,) = data['annotations']
    assert annotation == content(area=600, segmentation=[[1, 2, 3, 4, 5, 6]])['annotations'][0]
    check_coco(data := content(segmentation=None), 'train.json')
    assert 'segmentation' not in data['annotations'][0], 'of no use, and not needed'


@pytest.mark.parametrize(
    ('points', 'fault'),
    [
        ([5, 5, 2] * 16, 'not 17 times'),
        ([5, math.nan, 2] * 17, 'not 17 times'),
        ('points', 'not 17 times'),
        ([5, 5, 7] * 17, 'a flag'),
    ],
)
def test_keypoints(points, fault, log) -> None:
    data = content(keypoints=points)
    check_coco(data, 'train.json', num_keypoints=17)
    assert data['annotations'] == []
    assert fault in log.text
    data = content(keypoints=[5, 5, 2] * 9 + [0, 0, 0] * 8)
    check_coco(data, 'train.json', num_keypoints=17)
    assert data['annotations'][0]['num_keypoints'] == 9


def test_data_set_and_metric_agree(tmp_path, log) -> None:
    root = make_coco(tmp_path)
    file = root / 'annotations/instances_val2017.json'
    data = json.loads(file.read_text())
    total = len(data['annotations'])
    data['annotations'][0]['bbox'][2] = math.nan
    data['annotations'][1]['segmentation'] = runs((9, 9))
    del data['annotations'][2]['iscrowd']
    file.write_text(json.dumps(data))
    steps = [dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(
            dict(
                type='uniformer_mm.CheckedCocoDataset',
                ann_file=str(file),
                data_prefix=dict(img=''),
                pipeline=steps,
                metainfo=dict(classes=CLASSES),
                lazy_init=False,
            )
        )
        metric = METRICS.build(
            dict(type='uniformer_mm.CheckedCocoMetric', ann_file=str(file), metric=['bbox', 'segm'])
        )
    assert (
        sum(len(info['instances']) for info in map(dataset.get_data_info, range(len(dataset))))
        == total - 2
    )
    assert len(metric._coco_api.anns) == total - 2
    assert f'2 of {total} annotations cannot be used' in log.text


def test_people_and_detections(tmp_path, log) -> None:
    root = make_pose(tmp_path)
    file, found = root / 'annotations/person_keypoints_val2017.json', root / DETECTIONS
    data, boxes = json.loads(file.read_text()), json.loads(found.read_text())
    del data['annotations'][0]['image_id'], data['annotations'][1]['num_keypoints']
    file.write_text(json.dumps(data))
    boxes[0]['bbox'], boxes[1]['image_id'], boxes[2]['score'] = [math.nan] * 4, 99, None
    found.write_text(json.dumps(boxes))
    described = dict(type='uniformer_mm.CheckedPoseDataset', ann_file=str(file), test_mode=True)
    with DefaultScope.overwrite_default_scope('mmpose'):
        people, detected = (
            DATASETS.build(dict(described, **more)) for more in ({}, dict(bbox_file=str(found)))
        )
        metric = METRICS.build(dict(type='uniformer_mm.CheckedPoseMetric', ann_file=str(file)))
    metric.dataset_meta = people.metainfo
    assert len(people) == len(metric.coco.anns) == len(data['annotations']) - 1
    assert len(detected) == len(boxes) - 3
    assert f'3 of {len(boxes)} detections cannot be used' in log.text


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (dict(images=None), 'has no list of images'),
        (dict(categories=[dict(id=1)]), 'a category without id or name'),
        (dict(images=[dict(id=1, file_name='a', height=0, width=5)]), 'height 0 and width 5'),
        (dict(images=content()['images'] * 2), 'two images with the id 1'),
        (dict(images=[5]), 'entry 0 of images is 5'),
        (dict(annotations=5), 'has no list of annotations'),
    ],
)
def test_a_file_of_no_use(change, said) -> None:
    with pytest.raises(UserError, match=said):
        check_coco(content() | change, 'train.json')


def test_no_json(tmp_path: Path) -> None:
    file = tmp_path / 'a.json'
    for text in ('{"images": [', '[' * 100_000, '[]'):
        file.write_text(text)
        described = dict(type='uniformer_mm.CheckedCocoDataset', ann_file=str(file))
        with (
            DefaultScope.overwrite_default_scope('mmdet'),
            pytest.raises(UserError, match=r'a\.json cannot be read'),
        ):
            DATASETS.build(described)
