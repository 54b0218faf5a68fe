"""The built-in small data: their files, and what they ask of a model."""

import json
from pathlib import Path

import av
import make_mini
import numpy as np
import pytest
from mini import clips, coco_files, digits, drawing, people
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

COUNTS = dict(
    imagenet=dict(train=40, val=20),
    coco=dict(train=26, val=6),
    ade=dict(train=20, val=6),
    pose=dict(train=40, val=16),
    kinetics=dict(train=6, val=4),
    something=dict(train=6, val=4),
)


def make(name: str, out: Path, seed: int = 0) -> Path:
    """A few images of a data set."""
    return make_mini.make(name, out, seed, COUNTS[name])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    """All data sets, small."""
    root = tmp_path_factory.mktemp('mini')
    for name in COUNTS:
        assert make(name, root) == root / name
    assert {p.name for p in root.iterdir()} == set(COUNTS), 'nothing else is left behind'
    return root


@pytest.mark.parametrize('name', COUNTS)
def test_same_seed_same_files(name, data, tmp_path, capsys) -> None:
    first = contents(data / name)
    assert contents(make(name, tmp_path)) == first
    make(name, tmp_path)
    assert 'up to date' in capsys.readouterr().out
    assert contents(make(name, tmp_path, seed=1)) != first, 'another seed replaces them'


def read_coco(data: Path, name: str, kind: str, split: str) -> COCO:
    """An annotation file whose images, boxes, areas and masks agree."""
    coco = COCO(data / name / f'annotations/{kind}_{split}2017.json')
    assert len(coco.imgs) == COUNTS[name][split]
    for image in coco.imgs.values():
        picture = Image.open(data / f'{name}/{split}2017' / image['file_name'])
        assert picture.size == (image['width'], image['height'])
    for annotation in coco.dataset['annotations']:
        assert annotation['iscrowd'] == 0
        mask = coco.annToMask(annotation)
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.15, abs=12)
        left, top, width, height = annotation['bbox']
        ends = [left, top, left + width, top + height]
        rows, columns = np.nonzero(mask)
        inked = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert inked == pytest.approx(ends, abs=1)
    return coco


def test_coco_digits(data) -> None:
    coco = read_coco(data, 'coco', 'instances', 'train')
    names = [(c['id'], c['name']) for c in coco.dataset['categories']]
    assert names == [(digit + 1, str(digit)) for digit in range(10)]
    assert not coco.imgToAnns[25], 'some images have no object, as in COCO'
    for image in coco.imgs:
        masks = [coco.annToMask(annotation) for annotation in coco.imgToAnns[image]]
        assert np.max(sum(masks), initial=0) <= 1, 'no two digits share ink'
    extents = [max(annotation['bbox'][2:]) for annotation in coco.anns.values()]
    assert min(extents) < 32 < 64 < max(extents)
    read_coco(data, 'coco', 'instances', 'val')


def test_an_outline_keeps_the_holes_and_drops_specks() -> None:
    rows, columns = np.mgrid[:40, :30] + 0.5
    radius = np.hypot((rows - 20) / 20, (columns - 15) / 15)
    ink = np.float64((radius < 0.9) & (radius > 0.5))
    ink[0, 0] = 0.4
    polygons = coco_files.outline(ink)
    assert len(polygons) == 2
    assert sum(map(coco_files.area_of, polygons)) == pytest.approx(ink[1:].sum(), rel=0.03)
    mask = rle.decode(rle.merge(rle.frPyObjects([p.ravel().tolist() for p in polygons], 40, 30)))
    assert (mask != (ink > 0.5)).mean() < 0.03
    assert not mask[20, 15]
    assert mask[4, 15], 'the cut through the hole leaves no gap'


def test_ade_labels(data) -> None:
    numbers = set()
    for split, folder in digits.FOLDERS.items():
        images, labels = (
            sorted((data / 'ade' / kind / folder).iterdir()) for kind in ('images', 'annotations')
        )
        assert len(images) == COUNTS['ade'][split]
        for image, label in zip(images, labels, strict=True):
            assert image.stem == label.stem
            found = np.asarray(Image.open(label))
            assert np.shape(Image.open(image)) == (*found.shape, 3)
            numbers |= set(found.ravel().tolist())
            # One photograph behind, and pixels of neither kind between it and every digit.
            (behind,) = set(found[found >= digits.FIRST_PHOTO].tolist())
            is_behind, is_digit = found == behind, (found > 0) & (found < digits.FIRST_PHOTO)
            assert is_digit.mean() > 0.02
            assert not (is_digit[1:] & is_behind[:-1]).any()
            assert not (is_digit[:-1] & is_behind[1:]).any()
    assert numbers == set(range(13))


def test_people(data) -> None:
    flags, views = [], set()
    for split, count in COUNTS['pose'].items():
        coco = read_coco(data, 'pose', 'person_keypoints', split)
        assert len(coco.anns) > 1.4 * count, 'several people in many images'
        for annotation in coco.anns.values():
            image = coco.imgs[annotation['image_id']]
            x, y, v = np.reshape(annotation['keypoints'], (17, 3)).T
            assert annotation['num_keypoints'] == (v > 0).sum()
            assert not (x + y)[v == 0].any()
            assert (x <= image['width'] - 0.5).all()
            assert (y <= image['height'] - 0.5).all()
            flags.append(v)
            # Of a face that is seen, left is on the right of the image; from behind on the left.
            if v[3] and v[4] and annotation['num_keypoints'] > 12:
                assert (x[3] > x[4]) == bool(v[0])
                views.add(bool(v[0]))
    assert views == {True, False}
    assert not all(v.any() for v in flags), 'some people are too small for keypoints'
    hidden, covered, _ = np.bincount(np.int64(flags).ravel()) / np.size(flags)
    assert covered > 0.01
    assert 0.05 < hidden < 0.4, 'outside, or on a face that is not seen'


def test_detected_people(data) -> None:
    coco = COCO(data / 'pose/annotations/person_keypoints_val2017.json')
    found = json.loads((data / 'pose' / people.DETECTIONS).read_text())
    assert all(0 < d['score'] <= 1 for d in found)
    best = []
    for number, annotations in coco.imgToAnns.items():
        boxes = [d['bbox'] for d in found if d['image_id'] == number]
        truth = [a['bbox'] for a in annotations]
        best += rle.iou(boxes, truth, [0] * len(truth)).max(0).tolist() if boxes else []
    assert np.mean(np.array(best) > 0.6) > 0.9, 'nearly everybody is found'
    assert max(best) < 1, 'never exactly'


def test_a_figure_is_drawn_where_its_joints_are() -> None:
    image = np.full((160, 160, 3), 0.5)
    figure = people.random_figure(100, np.random.default_rng(0))
    figure = figure._replace(joints=figure.joints + (80, 70))
    cover = people.draw(figure, image)
    columns, rows = np.int64(figure.joints).T
    assert (cover[rows, columns] > 0.9).all()
    assert (image[cover == 0] == 0.5).all()
    assert not people.label(figure._replace(joints=figure.joints + 500), cover > 0.5).any()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_videos_and_raw_frames(split, data) -> None:
    videos, folders = (
        [line.split() for line in (data / file).read_text().splitlines()]
        for file in (
            f'kinetics/kinetics400_{split}_list_videos.txt',
            f'something/sthv2_{split}_list_rawframes.txt',
        )
    )
    assert len(videos) == COUNTS['kinetics'][split]
    for number, ((video, label), (folder, length, other)) in enumerate(
        zip(videos, folders, strict=True)
    ):
        assert int(label) == int(other) == number % 4
        with av.open(data / f'kinetics/videos_{split}' / video) as container:
            frames = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
        assert np.shape(frames) == (32, 80, 80, 3)
        assert np.abs(np.diff(np.int64(frames), axis=0)).mean((1, 2, 3)).min() > 0.5
        names = [f'img_{place:05d}.jpg' for place in range(1, int(length) + 1)]
        assert sorted(p.name for p in (data / 'something/rawframes' / folder).iterdir()) == names
    lengths = [int(length) for _, length, _ in folders]
    assert clips.MIN_FRAMES <= min(lengths) < 16 < max(lengths) <= 32


@pytest.mark.parametrize('direction', clips.DIRECTIONS.values(), ids=clips.DIRECTIONS)
def test_one_frame_does_not_tell_where_a_digit_goes(direction, monkeypatch) -> None:
    """It moves where its class says; but in every frame it is anywhere on the torus."""
    side = clips.SIDE
    sketch = drawing.Sketch('val', np.random.default_rng(0))
    monkeypatch.setattr(sketch, 'background', lambda shape: np.full((*shape, 3), 0.2))
    share = np.zeros((side, side))
    for number in range(120):
        clip = np.abs(clips.draw_clip(direction, 9 if number < 5 else 1, sketch) - 51.0)
        share += clip[-1].max(2) > 60
        if number < 5:
            first, last = (np.fft.fft2(frame.mean(2)) for frame in (clip[0], clip[-1]))
            peak = np.fft.ifft2(last * first.conj()).real  # correlation on the torus
            moved = np.array(np.unravel_index(peak.argmax(), peak.shape))
            moved = (moved + side // 2) % side - side // 2
            along, across = moved @ direction, moved @ direction[::-1]
            assert 8 * clips.SPEED[0] - 1 <= along <= 8 * clips.SPEED[1] + 1
            assert abs(across) <= clips.DRIFT * along + 2
    share /= share.sum()
    for axis in (0, 1):
        assert share.sum(axis).reshape(4, -1).sum(1) == pytest.approx([0.25] * 4, abs=0.09)


def test_splits_share_neither_scans_nor_photographs() -> None:
    train, val = (drawing.load_glyphs(split) for split in ('train', 'val'))
    assert {label for _, label in val} == set(range(10))
    assert not {scan.tobytes() for scan, _ in train} & {scan.tobytes() for scan, _ in val}
    for left, right in zip(drawing.load_photos('train'), drawing.load_photos('val'), strict=True):
        assert left.shape[1] + right.shape[1] < 640


def test_an_interrupted_make_leaves_nothing(tmp_path, monkeypatch) -> None:
    def fail(root: Path, *_: object) -> None:
        (root / 'half').write_text('half')
        raise OSError('disk full')

    monkeypatch.setitem(make_mini.DATA, 'imagenet', (fail, COUNTS['imagenet']))
    with pytest.raises(OSError, match='disk full'):
        make('imagenet', tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_command_line_errors(run_tool, tmp_path) -> None:
    wrong = run_tool('tools/demo/make_mini.py', 'imagnet', '--out', tmp_path)
    assert 'unknown data set imagnet: choose from imagenet' in wrong.stderr
    (tmp_path / 'imagenet').mkdir()
    (tmp_path / 'imagenet/mine.txt').write_text('mine')
    foreign = run_tool('tools/demo/make_mini.py', '--out', tmp_path)
    assert 'Traceback' not in foreign.stderr
    assert 'was not made by this script' in foreign.stderr
    assert contents(tmp_path) == {'imagenet/mine.txt': b'mine'}
