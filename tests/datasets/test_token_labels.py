"""Label maps: found, read, refused, and moved with their images."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from paper_configs import read_config
from PIL import Image
from small_data import make_label_maps
from torch.utils.data import Dataset

from uniformer_mm.errors import UserError

SIDE, CELL = 18, 12  # cells of a map, pixels of a cell
OUTSIDE = 255


@pytest.fixture(autouse=True)
def mmpretrain() -> None:
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def folders(tmp_path) -> Path:
    """Images in folders as of ImageNet, and their label maps."""
    for name in ('train/n10/a_1.JPEG', 'train/n10/b.c.JPEG', 'train/n2/a_1.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (50, 40), 'green').save(path)
    make_label_maps(tmp_path / 'train', tmp_path / 'maps', num_classes=2)
    return tmp_path


def build_dataset(root: Path, kind: str = 'TokenLabelDataset', **kwargs) -> Dataset:
    described = dict(type=f'uniformer_mm.{kind}', data_root=str(root), data_prefix='train')
    return DATASETS.build({**described, 'label_root': f'{root}/maps/', **kwargs})


def test_each_image_has_its_map(folders) -> None:
    load = dict(type='uniformer_mm.LoadTokenLabel', num_classes=2)
    dataset = build_dataset(folders, pipeline=[load])
    assert dataset.metainfo['classes'] == ('n10', 'n2')
    for number in range(3):
        sample = dataset[number]
        image, label = (Path(sample[key]) for key in ('img_path', 'token_label_path'))
        assert label == folders / 'maps' / image.parent.name / f'{image.stem}.pt'
        torch.testing.assert_close(sample['token_label'], torch.load(label).float())
        assert sample['gt_label'] == int(image.parent.name == 'n2')


def test_imagenet_has_its_names(folders) -> None:
    classes = dict(metainfo=dict(classes=('hen', 'cock')))
    dataset = build_dataset(folders, 'TokenLabelImageNet', data_prefix='', split='train', **classes)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'] == ('hen', 'cock')


def test_a_missing_map_is_named_at_once(folders) -> None:
    (folders / 'maps/n10/b.c.pt').unlink()
    with pytest.raises(UserError, match=r'1 of 3 images .* no .*maps/n10/b.c.pt for .*b.c.JPEG'):
        build_dataset(folders)
    with pytest.raises(UserError, match='3 of 3 images have no label map'):
        build_dataset(folders, label_root=f'{folders}/nothing')


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path('touched'),))


GOOD = torch.zeros(2, 5, 3, 3)
WRONG = {
    'code': (Evil(), 'cannot be read as a label map: damaged, or no PyTorch file of a tensor'),
    'numbers': (GOOD.long(), 'holds torch.int64: expected a float tensor'),
    'weights': ({'a': GOOD}, 'holds dict: expected a float tensor'),
    'one plane': (GOOD[0], r'holds a tensor \(5, 3, 3\): expected \(2, k, H, W\)'),
    'a class too many': (GOOD + 10, 'has classes from 10 to 10: expected 0 to 9'),
    'no score': (GOOD / 0, 'has scores that are no finite numbers'),
}


@pytest.mark.parametrize(('label', 'message'), WRONG.values(), ids=WRONG)
def test_wrong_maps_are_refused(label, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(label, tmp_path / 'map.pt')
    load = TRANSFORMS.build(dict(type='uniformer_mm.LoadTokenLabel', num_classes=10))
    with pytest.raises(UserError, match=f'map.pt {message}'):
        load(dict(token_label_path='map.pt'))
    assert not Path('touched').exists()


def test_a_map_that_was_cut_off_is_refused(tmp_path) -> None:
    torch.save(GOOD, tmp_path / 'map.pt')
    content = (tmp_path / 'map.pt').read_bytes()
    load = TRANSFORMS.build(dict(type='uniformer_mm.LoadTokenLabel', num_classes=10))
    for length in (0, len(content) // 2):
        (tmp_path / 'map.pt').write_bytes(content[:length])
        with pytest.raises(UserError, match='map.pt cannot be read'):
            load(dict(token_label_path=f'{tmp_path}/map.pt'))


def encoded() -> dict:
    """An image whose pixels say in which row and column of its map they are, and the map."""
    row, column = np.indices((SIDE * CELL, SIDE * CELL)) // CELL
    image = np.stack([row, column, np.zeros_like(row)], 2).astype(np.uint8)
    numbers = torch.arange(float(SIDE * SIDE)).view(1, SIDE, SIDE)
    label = torch.stack([torch.ones(5, SIDE, SIDE), numbers.expand(5, -1, -1)])
    return dict(img=image, token_label=label)


def compare(results: dict) -> tuple[np.ndarray, np.ndarray]:
    """How many cells a map is off from its image, at the centers of cells; where both are inside,
    and where just one of them is."""
    centers = results['img'][CELL // 2 :: CELL, CELL // 2 :: CELL].astype(int)
    scores, numbers = results['token_label'][:, 0].numpy()
    assert torch.equal(results['token_label'], results['token_label'][:, :1].expand(-1, 5, -1, -1))
    shown, known = centers[..., 0] != OUTSIDE, scores != 0
    cells = np.stack([numbers // SIDE, numbers % SIDE], 2)
    return np.abs(cells - centers[..., :2])[shown & known], shown != known


MOVES = {
    'rotate': dict(type='Rotate', magnitude_range=(0, 30)),
    'shear x': dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal'),
    'shear y': dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical'),
    'translate x': dict(type='Translate', magnitude_range=(0, 0.45), direction='horizontal'),
    'translate y': dict(type='Translate', magnitude_range=(0, 0.45), direction='vertical'),
}


def rand_augment(*policies: dict, **kwargs) -> Callable[[dict], dict]:
    described = dict(
        type='uniformer_mm.TokenLabelRandAugment',
        policies=list(policies),
        num_policies=len(policies),
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[OUTSIDE] * 3),
    )
    return TRANSFORMS.build({**described, **kwargs})


@pytest.mark.parametrize('moves', [*([name] for name in MOVES), list(MOVES)], ids=[*MOVES, 'all'])
def test_a_map_moves_with_its_image(moves) -> None:
    transform = rand_augment(
        *({**MOVES[name], 'prob': 0.9} for name in moves), interpolations=['nearest']
    )
    transform.random_policy_indices = lambda: range(len(moves))
    moved, off = 0, []
    for _ in range(20):
        results = transform(encoded())
        distance, edge = compare(results)
        # Each move takes the nearest cell. A map moved otherwise is off by several cells.
        assert distance.max(initial=0) <= len(moves)
        off.append(distance.mean())
        assert edge.mean() < 0.06 * len(moves)
        moved += not torch.equal(results['token_label'], encoded()['token_label'])
    assert np.mean(off) < 0.1 * len(moves)
    assert moved > 10


def test_directions_of_a_map_are_those_of_its_image() -> None:
    """A shift by whole cells is exact."""
    move = dict(type='Translate', magnitude=4 / SIDE, prob=1.0, random_negative_prob=0.0)
    for direction, axis in (('vertical', 0), ('horizontal', 1)):
        transform = rand_augment({**move, 'direction': direction}, interpolations=['nearest'])
        results = transform(encoded())
        distance, edge = compare(results)
        assert not distance.any()
        assert not edge.any()
        scores = results['token_label'][0, 0]
        assert scores.sum() == SIDE * (SIDE - 4)
        assert not scores.movedim(axis, 0)[:4].any()


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_a_map_flips_with_its_image(direction) -> None:
    flip = dict(type='uniformer_mm.TokenLabelFlip', prob=1.0, direction=direction)
    results = TRANSFORMS.build(flip)(encoded())
    distance, edge = compare(results)
    assert not distance.any()
    assert not edge.any()
    assert not torch.equal(results['token_label'], encoded()['token_label'])
    never = TRANSFORMS.build({**flip, 'prob': 0.0})(encoded())
    assert torch.equal(never['token_label'], encoded()['token_label'])


def test_colours_leave_a_map_alone() -> None:
    transform = rand_augment(dict(type='Invert', prob=1.0), dict(type='Cutout', shape=9, prob=1.0))
    results = transform(encoded())
    assert torch.equal(results['token_label'], encoded()['token_label'])
    assert not np.array_equal(results['img'], encoded()['img'])


def test_what_moves_the_image_alone_is_refused() -> None:
    with pytest.raises(ValueError, match='RandomFlip is no operation of RandAugment'):
        rand_augment(dict(type='RandomFlip', prob=0.5))


def test_a_crop_is_where_it_says_it_is() -> None:
    """On an image whose pixels are their own places."""
    height, width = 240, 180
    rows, columns = np.indices((height, width), np.uint8)
    label = encoded()['token_label']
    crop = dict(type='uniformer_mm.TokenLabelRandomResizedCrop', scale=32, backend='pillow')
    crop = TRANSFORMS.build(crop)
    interpolations = set()
    for _ in range(20):
        results = dict(img=np.stack([rows, columns, rows], 2), token_label=label)
        results = crop(results)
        interpolations.add(crop.interpolation)
        assert results['img'].shape == (32, 32, 3)
        assert results['token_label'] is label
        middle = results['img'].mean((0, 1))[:2]
        top, left, tall, wide = results['crop_box'].tolist()
        expected = np.array([(top + tall / 2) * height, (left + wide / 2) * width]) - 0.5
        assert np.abs(middle - expected).max() < 1
        extent = np.ptp(results['img'][..., :2], axis=(0, 1)).astype(float)
        assert np.abs(extent - [tall * height, wide * width]).max() < 8
    assert interpolations == {'bilinear', 'bicubic'}


@pytest.mark.parametrize('name', ['224', '384'])
def test_the_pipeline_of_the_configs(folders, name) -> None:
    cfg = read_config(f'_base_/datasets/imagenet_token-label_{name}')
    described = cfg.train_dataloader.dataset
    kinds = [step.type.rpartition('.')[2] for step in described.pipeline]
    order = ['Flip', 'RandAugment', 'RandomResizedCrop', 'Erasing', 'Pack']
    places = [next(i for i, kind in enumerate(kinds) if part in kind) for part in order]
    assert places == sorted(places)
    dataset = build_dataset(folders, pipeline=described.pipeline)
    sample = pickle.loads(pickle.dumps(dataset[0]))  # as a worker sends it
    assert sample['inputs'].shape == (3, int(name), int(name))
    data = sample['data_samples']
    assert data.token_label.shape == (2, 5, 6, 6)
    assert data.crop_box.shape == (4,)
    assert ((data.crop_box >= 0) & (data.crop_box <= 1)).all()
    tests = Compose(cfg.test_dataloader.dataset.pipeline)
    path = str(folders / 'train/n2/a_1.png')
    assert tests(dict(img_path=path))['inputs'].shape == (3, int(name), int(name))
