"""The built-in small data."""

import json
from pathlib import Path

import make_mini
import numpy as np
import pytest
from mini import ade, drawing, imagenet
from mini import coco as coco_data
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

COUNTS = dict(
    ade=dict(train=20, val=6), imagenet=dict(train=40, val=20), coco=dict(train=26, val=6)
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


@pytest.mark.parametrize('name', ['imagenet', 'coco', 'ade'])
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


def test_a_digit_stays_inside_the_centre_crop() -> None:
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
