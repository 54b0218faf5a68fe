"""What segmentation data may hold: odd sizes and files are read rightly, wrong ones refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmseg.datasets import LoadAnnotations
from mmseg.registry import DATASETS
from own_data import PAGE_CONFIGS
from paper_configs import build, read_config
from PIL import Image
from small_data import make_ade
from small_runs import shrink, shrink_model

from uniformer_mm.cli import UserError
from uniformer_mm.datasets import LoadLabelMap, ResizeToAtLeast

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/ade20k'
FPN = 'uniformer-s-h14_fpn_8xb4-80k_ade20k-512x512'
UPERNET = 'uniformer-s-h32_upernet_8xb2-160k_ade20k-512x512'


@pytest.fixture(scope='module', params=[FPN, UPERNET], ids=['fpn', 'upernet'])
def cfg(request) -> Config:
    """A paper config at an eighth of the size, on a small network."""
    cfg = read_config(CONFIGS / f'{request.param}.py')
    shrink(cfg)
    shrink_model(cfg)
    return cfg


@pytest.fixture(scope='module')
def model(cfg) -> torch.nn.Module:
    torch.manual_seed(0)
    return revert_sync_batchnorm(build(cfg.model, 'mmseg'))


def read(cfg: Config, split: str, image: Image.Image, label: Image.Image, folder: Path) -> dict:
    """What the config's pipeline makes of an image and its label."""
    image.save(folder / 'a.png')
    label.save(folder / 'label.png')
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose(cfg[f'{split}_dataloader'].dataset.pipeline)
    (load,) = (step for step in pipeline.transforms if isinstance(step, LoadLabelMap))
    load.num_classes = 150  # as HeadCheckHook does
    return pipeline(
        dict(
            img_path=str(folder / 'a.png'),
            seg_map_path=str(folder / 'label.png'),
            reduce_zero_label=True,
            label_map=None,
            seg_fields=[],
        )
    )


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def grey(numbers: np.ndarray) -> Image.Image:
    return Image.fromarray(np.asarray(numbers, np.uint8))


# Number in the file: class it stands for.
NUMBERS = {0: 255, 1: 0, 67: 66, 150: 149, 255: 255}


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_labels_of_grey_and_palette_files(mode, cfg, tmp_path) -> None:
    numbers = np.repeat(list(NUMBERS), 20)[None].repeat(60, 0)
    label = grey(numbers)
    if mode == 'P':
        label = Image.fromarray(np.asarray(numbers, np.uint8), 'P')
        label.putpalette([value for i in range(256) for value in (255 - i, i // 2, 7)])
    result = read(cfg, 'test', noise(100, 60), label, tmp_path)
    found = result['data_samples'].gt_sem_seg.data
    assert found.shape == (1, 60, 100), 'of the original, whatever the size of the input'
    assert found[0, 0, ::20].tolist() == list(NUMBERS.values())
    assert result['inputs'].shape[1:] != (60, 100)


WRONG = {
    'colours': (Image.new('RGB', (100, 60)), r'label.png has 3 channels: expected one number per'),
    'another size': (
        grey(np.ones((50, 100))),
        r'label.png has 100 x 50 pixels, its image .*a.png has 100 x 60 \(width x height\)',
    ),
    'a class too many': (
        grey(np.full((60, 100), 151)),
        r'label.png has a pixel of 151: expected 1 to 150, or 0 or 255 for no class',
    ),
    'a number of 16 bits': (
        Image.fromarray(np.full((60, 100), 257, np.uint16)),
        r'label.png holds numbers from 257 to 257: expected 0 to 255',
    ),
}


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize(('label', 'message'), WRONG.values(), ids=WRONG)
def test_wrong_labels_are_refused(label, message, split, cfg, tmp_path) -> None:
    with pytest.raises(UserError, match=message):
        read(cfg, split, noise(100, 60), label, tmp_path)


def load(file: Path, numbers: np.ndarray, num_classes: int, **results) -> dict:
    """What LoadLabelMap makes of a file of these numbers."""
    Image.fromarray(numbers).save(file)
    results = dict(seg_map_path=str(file), img_path='a.jpg', ori_shape=numbers.shape) | results
    return LoadLabelMap(num_classes)(results)


def test_labels_from_0_are_checked_without_a_shift(tmp_path) -> None:
    file = tmp_path / 'a.png'
    numbers = np.array([[0, 2, 255]], np.uint8)
    assert load(file, numbers, 3)['gt_seg_map'].tolist() == [[0, 2, 255]]
    with pytest.raises(UserError, match=r'a.png has a pixel of 2: expected 0 to 1, or 255 for no'):
        load(file, numbers, 2)
    with pytest.raises(UserError, match=r'has a pixel of 9: expected 1 to 5, or 0 or 255 for no'):
        load(file, numbers + 7, 2, reduce_zero_label=True, label_map={4: 1})


@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 255, 4: 0, 253: 2}])
@pytest.mark.parametrize('reduce', [True, False])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_labels_are_those_of_mmseg(dtype, reduce, label_map, tmp_path) -> None:
    """All numbers that 8 bits can hold, in files of 8 and 16 bits."""
    given = dict(reduce_zero_label=reduce, label_map=label_map)
    results = load(
        tmp_path / 'a.png', np.arange(256, dtype=dtype).reshape(16, 16), 255, seg_fields=[], **given
    )
    theirs = LoadAnnotations()(dict(seg_map_path=results['seg_map_path'], seg_fields=[], **given))
    found = results['gt_seg_map']
    assert found.dtype == theirs['gt_seg_map'].dtype
    assert np.array_equal(found, theirs['gt_seg_map'])
    assert results['seg_fields'] == theirs['seg_fields']


@pytest.mark.parametrize('shape', [(1, 30), (30, 1), (1, 1)])
def test_labels_of_a_strip_keep_its_shape(shape, tmp_path) -> None:
    assert load(tmp_path / 'a.png', np.ones(shape, np.uint8), 2)['gt_seg_map'].shape == shape


def test_an_image_without_a_label_has_none() -> None:
    """As mmseg's inferencer gives it."""
    assert LoadLabelMap(3)(results := dict(img_path='a.jpg')) == results


@pytest.mark.parametrize(
    ('shape', 'expected'), [((32, 40), (32, 40)), ((4, 90), (32, 90)), ((5, 6), (32, 32))]
)
def test_only_thin_images_are_enlarged(shape, expected) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    results = ResizeToAtLeast(size=32)(dict(img=image, img_shape=shape))
    assert (results['img'] is image) == (shape == expected)
    assert results['img'].shape[:2] == results['img_shape'] == expected


# (width, height): below the crop, strips, no multiple of 32 or of a window.
ODD_SIZES = [(20, 20), (200, 1), (1, 200), (2, 1), (333, 77)]


@pytest.mark.parametrize('size', ODD_SIZES, ids=lambda size: '{}x{}'.format(*size))
def test_training_on_odd_sizes(size, cfg, model, tmp_path) -> None:
    np.random.seed(0)
    label = np.resize([1, 5], size[::-1])
    results = [read(cfg, 'train', noise(*size), grey(label), tmp_path) for _ in range(2)]
    for result in results:
        label = result['data_samples'].gt_sem_seg.data
        assert label.shape[1:] == result['inputs'].shape[1:]
        assert set(label.unique().tolist()) <= {0, 4}
    data = model.train().data_preprocessor(pseudo_collate(results), True)
    assert data['inputs'].shape == (2, 3, 64, 64)
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    assert loss.isfinite()
    assert loss > 0


MODES = [dict(mode='whole'), dict(mode='slide', crop_size=(64, 64), stride=(43, 43))]


@pytest.mark.parametrize('mode', MODES, ids=lambda mode: mode['mode'])
@pytest.mark.parametrize('size', ODD_SIZES, ids=lambda size: '{}x{}'.format(*size))
@torch.no_grad()
def test_testing_odd_sizes(size, mode, cfg, model, tmp_path) -> None:
    result = read(cfg, 'test', noise(*size), grey(np.ones(size[::-1])), tmp_path)
    assert min(result['inputs'].shape[1:]) >= 32
    model.eval().test_cfg = Config(mode)
    (sample,) = model.test_step(pseudo_collate([result]))
    model.test_cfg = Config(MODES[0])
    assert sample.pred_sem_seg.data.shape == sample.gt_sem_seg.data.shape == (1, *size[::-1])
    assert sample.seg_logits.data.isfinite().all()


def test_the_example_of_ones_own_regions(tmp_path, monkeypatch) -> None:
    """docs/own_data.md's config, as it stands there."""
    monkeypatch.chdir(tmp_path)
    make_ade(tmp_path / 'data/fields', numbers=(1, 2, 255))
    config = tmp_path / 'fields.py'
    config.write_text(PAGE_CONFIGS['fields'])
    cfg = read_config(config)
    assert cfg.model.decode_head.num_classes == 2
    with DefaultScope.overwrite_default_scope('mmseg'):
        datasets = [DATASETS.build(cfg[f'{s}_dataloader'].dataset) for s in ('train', 'test')]
    for dataset in datasets:
        assert len(dataset) == 4
        assert dataset.metainfo['classes'] == ('field', 'road')
        labels = dataset[0]['data_samples'].gt_sem_seg.data
        assert set(labels.unique().tolist()) == {0, 1, 255}
