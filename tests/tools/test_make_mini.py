"""The built-in small data."""

import json
from pathlib import Path

import make_mini
import numpy as np
import pytest
from mini import ade, drawing, imagenet
from mini import coco as coco_data
from mini import pose as pose_data
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

COUNTS = dict(
    ade=dict(train=20, val=6),
    imagenet=dict(train=40, val=20),
    coco=dict(train=26, val=6),
    pose=dict(train=40, val=16),
)


def make(name: str, out: Path, seed: int = 0) -> Path:
    """A few images of a data set."""
    return make_mini.make(name, out, seed, COUNTS[name])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_imagenet_folders(tmp_path) -> None:
    root = make('imagenet', tmp_path)
    assert root == tmp_path / 'imagenet'
    for split, count in COUNTS['imagenet'].items():
        assert sorted(p.name for p in (root / split).iterdir()) == list('0123456789')
        files = list((root / split).glob('*/*.png'))
        assert len(files) == count
        for file in files:
            picture = np.asarray(Image.open(file))
            assert picture.shape == (80, 80, 3)
            assert picture.std() > 5
    assert [p.name for p in tmp_path.iterdir()] == ['imagenet'], 'nothing else is left behind'


@pytest.mark.parametrize('name', ['imagenet', 'coco', 'ade', 'pose'])
def test_same_seed_same_files(name, tmp_path) -> None:
    first = contents(make(name, tmp_path / 'a', seed=3))
    assert contents(make(name, tmp_path / 'b', seed=3)) == first
    assert contents(make(name, tmp_path / 'c', seed=4)) != first


@pytest.fixture
def coco(tmp_path) -> dict[str, COCO]:
    root = make('coco', tmp_path)
    assert sorted(p.name for p in root.iterdir() if p.is_dir()) == [
        'annotations',
        'train2017',
        'val2017',
    ]
    return {
        split: COCO(root / f'annotations/instances_{split}2017.json') for split in ('train', 'val')
    }


def test_coco_files_are_true_to_the_format(coco, tmp_path) -> None:
    for split, count in COUNTS['coco'].items():
        dataset = coco[split].dataset
        assert set(dataset) == {'info', 'licenses', 'images', 'annotations', 'categories'}
        assert [(c['id'], c['name']) for c in dataset['categories']] == [
            (digit + 1, str(digit)) for digit in range(10)
        ]
        assert len(coco[split].imgs) == len(dataset['images']) == count
        assert len(coco[split].anns) == len(dataset['annotations']) > 2 * count
        for image in dataset['images']:
            picture = Image.open(tmp_path / f'coco/{split}2017' / image['file_name'])
            assert picture.size == (image['width'], image['height'])
            assert sorted(picture.size) == [128, 160]
        for annotation in dataset['annotations']:
            assert annotation['image_id'] in coco[split].imgs
            assert annotation['iscrowd'] == 0
            assert set(map(len, annotation['segmentation'])) <= set(range(6, 1000, 2))
    assert not coco['train'].imgToAnns[25], 'some images have no object, as in COCO'
    assert (
        json.loads((tmp_path / 'coco' / make_mini.MARKER).read_text())['recipe']['counts']
        == (COUNTS['coco'])
    )


def test_coco_boxes_areas_and_masks_agree(coco) -> None:
    extents = []
    for image_id, image in coco['train'].imgs.items():
        total = np.zeros((image['height'], image['width']), int)
        for annotation in coco['train'].imgToAnns[image_id]:
            mask = coco['train'].annToMask(annotation)
            total += mask
            left, top, width, height = annotation['bbox']
            assert min(left, top) >= 0
            assert left + width <= image['width']
            assert top + height <= image['height']
            rows, columns = np.nonzero(mask)
            assert [columns.min(), rows.min()] == pytest.approx([left, top], abs=1)
            ends = [left + width, top + height]
            assert [columns.max() + 1, rows.max() + 1] == pytest.approx(ends, abs=1)
            assert mask.sum() == pytest.approx(annotation['area'], rel=0.12)
            extents.append(max(width, height))
        assert total.max(initial=0) <= 1, 'no two digits share ink'
    assert min(extents) < 32
    assert max(extents) > 64


def test_an_outline_keeps_the_holes_and_drops_specks() -> None:
    rows, columns = np.mgrid[:40, :30] + 0.5
    radius = np.hypot((rows - 20) / 20, (columns - 15) / 15)
    ink = np.float64((radius < 0.9) & (radius > 0.5))
    ink[0, 0] = 0.4
    polygons = coco_data.outline(ink)
    assert len(polygons) == 2
    assert sum(map(coco_data.area_of, polygons)) == pytest.approx(ink[1:].sum(), rel=0.03)
    mask = rle.decode(rle.merge(rle.frPyObjects([p.ravel().tolist() for p in polygons], 40, 30)))
    assert (mask != (ink > 0.5)).mean() < 0.03
    assert not mask[20, 15]
    assert mask[4, 15], 'the cut through the hole leaves no gap'


def test_area_of_a_triangle() -> None:
    assert coco_data.area_of(np.array([[0, 0], [4, 0], [4, 3]])) == 6


@pytest.fixture(scope='module')
def people(tmp_path_factory) -> Path:
    return make('pose', tmp_path_factory.mktemp('mini'))


def test_people_are_true_to_the_format(people) -> None:
    flags, num_without = [], 0
    for split, count in COUNTS['pose'].items():
        coco = COCO(people / f'annotations/person_keypoints_{split}2017.json')
        (person,) = coco.dataset['categories']
        assert (person['id'], person['name']) == (1, 'person')
        assert len(person['keypoints']) == 17
        assert (person['keypoints'][5], person['keypoints'][16]) == ('left_shoulder', 'right_ankle')
        assert min(map(min, person['skeleton'])) == 1
        assert max(map(max, person['skeleton'])) == 17
        assert len(coco.imgs) == count
        assert len(coco.anns) > 1.4 * count, 'several people in many images'
        for number, annotation in coco.anns.items():
            assert annotation['id'] == number
            assert annotation['category_id'] == 1
            image = coco.imgs[annotation['image_id']]
            picture = Image.open(people / f'{split}2017' / image['file_name'])
            assert picture.size == (image['width'], image['height'])
            x, y, v = np.reshape(annotation['keypoints'], (17, 3)).T
            assert set(v) <= {0, 1, 2}
            assert annotation['num_keypoints'] == (v > 0).sum()
            assert not x[v == 0].any()
            assert not y[v == 0].any()
            assert (x[v > 0] <= image['width'] - 0.5).all()
            assert (y[v > 0] <= image['height'] - 0.5).all()
            mask = coco.annToMask(annotation)
            assert mask.sum() == pytest.approx(annotation['area'], rel=0.15, abs=12)
            seen = v == 2
            assert mask[y[seen].round().astype(int), x[seen].round().astype(int)].mean() > 0.8 or (
                not seen.any()
            )
            num_without += annotation['num_keypoints'] == 0
            flags += v.tolist()
    assert num_without, 'some people are too small for keypoints'
    share = np.bincount(np.int64(flags)) / len(flags)
    assert share[1] > 0.01, 'some joints are covered'
    assert 0.05 < share[0] < 0.4, 'some lie outside or on a face that is not seen'
    assert share[2] > 0.5


def test_left_and_right_can_be_told(people) -> None:
    """Of a face that is seen, left is on the right of the image; from behind it is on the left."""
    coco = COCO(people / 'annotations/person_keypoints_train2017.json')
    views = set()
    for annotation in coco.anns.values():
        x, _, v = np.reshape(annotation['keypoints'], (17, 3)).T
        if v[3] and v[4] and annotation['num_keypoints'] > 12:
            is_frontal = bool(v[0])
            assert (x[3] > x[4]) == is_frontal
            views.add(is_frontal)
    assert views == {True, False}


def test_detected_people(people) -> None:
    file = people / 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
    coco = COCO(people / 'annotations/person_keypoints_val2017.json')
    found = json.loads(file.read_text())
    assert {d['category_id'] for d in found} == {1}
    assert all(0 < d['score'] <= 1 for d in found)
    assert all(min(d['bbox'][2:]) > 0 for d in found)
    overlaps = {}
    for number, annotations in coco.imgToAnns.items():
        boxes = [d['bbox'] for d in found if d['image_id'] == number]
        if boxes and annotations:
            matrix = rle.iou(boxes, [a['bbox'] for a in annotations], [0] * len(annotations))
            overlaps[number] = matrix.max(0)
    best = np.concatenate(list(overlaps.values()))
    assert (best > 0.6).mean() > 0.9, 'nearly everybody is found'
    assert (best < 1).all(), 'never exactly'


def test_a_figure_is_drawn_where_its_joints_are() -> None:
    rng = np.random.default_rng(0)
    image = np.full((160, 160, 3), 0.5)
    figure = pose_data.random_figure(100, rng)
    figure = figure._replace(joints=figure.joints + (80, 70))
    cover = pose_data.draw(figure, image)
    columns, rows = np.int64(figure.joints).T
    assert (cover[rows, columns] > 0.9).all()
    assert (image[cover == 0] == 0.5).all()
    assert 0 <= image.min() <= image.max() <= 1
    keypoints = pose_data.label(figure, cover > 0.5)
    assert (keypoints[:, 2] == 2).sum() in (14, 17)
    hidden = pose_data.label(figure, np.zeros((160, 160), bool))
    assert set(hidden[:, 2]) <= {0, 1}
    assert not pose_data.label(figure._replace(joints=figure.joints + 500), cover > 0.5).any()


def test_splits_share_neither_scans_nor_photographs() -> None:
    train, val = drawing.load_glyphs('train'), drawing.load_glyphs('val')
    assert len(train) + len(val) == 1797
    assert len(val) == 360
    assert {label for _, label in val} == set(range(10))
    scans = {scan.tobytes() for scan, _ in train}
    assert not scans & {scan.tobytes() for scan, _ in val}
    for left, right in zip(drawing.load_photos('train'), drawing.load_photos('val'), strict=True):
        assert left.shape[1] + right.shape[1] < 640
        assert left.shape[0] == right.shape[0] == 427


def test_a_digit_stays_inside_the_center_crop() -> None:
    rng = np.random.default_rng(0)
    for glyph, _ in drawing.load_glyphs('val')[:50]:
        ink = drawing.draw_glyph(glyph, imagenet.EXTENT[1], rng)
        assert max(ink.shape) == imagenet.EXTENT[1] <= imagenet.SIDE * 7 / 8
        assert 0.1 < ink.mean() < 0.9


def test_again_is_a_no_op_and_another_seed_replaces(tmp_path, capsys) -> None:
    root = make('imagenet', tmp_path)
    stamp = (root / make_mini.MARKER).stat().st_mtime_ns
    before = contents(root)
    make('imagenet', tmp_path)
    assert 'up to date' in capsys.readouterr().out
    assert (root / make_mini.MARKER).stat().st_mtime_ns == stamp
    make('imagenet', tmp_path, seed=1)
    assert contents(root) != before


def test_a_foreign_folder_is_left_alone(tmp_path) -> None:
    (tmp_path / 'imagenet').mkdir()
    (tmp_path / 'imagenet' / 'mine.txt').write_text('mine')
    with pytest.raises(make_mini.MiniDataError, match='was not made by this script'):
        make('imagenet', tmp_path)
    assert contents(tmp_path / 'imagenet') == {'mine.txt': b'mine'}


def test_an_interrupted_make_leaves_nothing(tmp_path, monkeypatch) -> None:
    def fail(root: Path, seed: int, counts: dict[str, int]) -> None:
        (root / 'half').write_text('half')
        raise OSError('disk full')

    monkeypatch.setattr(imagenet, 'make', fail)
    with pytest.raises(OSError, match='disk full'):
        make('imagenet', tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_line_errors(run_tool, tmp_path) -> None:
    wrong = run_tool('tools/data/make_mini.py', 'imagnet', '--out', tmp_path)
    assert wrong.returncode == 2
    assert 'unknown data set imagnet: choose from imagenet' in wrong.stderr
    (tmp_path / 'imagenet').mkdir()
    foreign = run_tool('tools/data/make_mini.py', '--out', tmp_path)
    assert foreign.returncode == 1
    assert 'Traceback' not in foreign.stderr
    assert 'was not made by this script' in foreign.stderr


def test_ade_files_are_true_to_the_format(tmp_path) -> None:
    root = make('ade', tmp_path)
    numbers, touching = set(), 0
    for split, folder in ade.FOLDERS.items():
        images = sorted((root / 'images' / folder).iterdir())
        labels = sorted((root / 'annotations' / folder).iterdir())
        assert [p.stem for p in images] == [p.stem for p in labels]
        assert len(images) == COUNTS['ade'][split]
        for image, label in zip(images, labels, strict=True):
            picture, classes = Image.open(image), Image.open(label)
            assert (picture.mode, classes.mode) == ('RGB', 'L')
            assert picture.size == classes.size
            assert sorted(picture.size) == list(ade.SIDES)
            found = np.asarray(classes)
            numbers |= set(found.ravel().tolist())
            # One photograph behind, and pixels of neither kind between it and every digit.
            (behind,) = set(found[found >= ade.FIRST_PHOTO].tolist())
            is_digit = (found > 0) & (found < ade.FIRST_PHOTO)
            assert is_digit.mean() > 0.02
            is_behind = found == behind
            touching += (is_digit[1:] & is_behind[:-1]).sum() + (
                is_digit[:-1] & is_behind[1:]
            ).sum()
    assert numbers == set(range(13))
    assert touching == 0
