"""Random erasing in normalised space."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from uniformer_mm.datasets import NormalizedRandomErasing

BGR_MEAN, BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)


def erasing(**kwargs) -> NormalizedRandomErasing:
    return NormalizedRandomErasing(mean=BGR_MEAN, std=BGR_STD, **kwargs)


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def image(side: int = 224) -> np.ndarray:
    return np.full((side, side, 3), 7, dtype=np.uint8)


def test_noise_is_standard_normal_after_the_data_preprocessor() -> None:
    from mmpretrain.models import ClsDataPreprocessor

    out = erasing(prob=1.0, area_range=(0.3, 0.33)).transform(dict(img=image()))['img']
    erased = (out != 7).any(axis=2)
    preprocessor = ClsDataPreprocessor(mean=BGR_MEAN[::-1], std=BGR_STD[::-1], to_rgb=True)
    batch = torch.from_numpy(out).permute(2, 0, 1)[None]
    noise = preprocessor(dict(inputs=batch))['inputs'][0][:, torch.from_numpy(erased)]
    assert erased.sum() > 14_000
    assert noise.mean(1).abs().max() < 0.03
    assert (noise.std(1) - 1).abs().max() < 0.03
    # Unbounded: pixel values below 0 and above 255 are kept.
    assert out.min() < 0
    assert out.max() > 255
    assert torch.corrcoef(noise).triu(1).abs().max() < 0.03


def test_every_image_becomes_float32_and_the_rest_is_untouched() -> None:
    for prob in (0.0, 1.0):
        before = image()
        out = erasing(prob=prob).transform(dict(img=before))['img']
        assert out.dtype == np.float32
        assert (before == 7).all()
        rows, columns = np.nonzero((out != 7).any(axis=2))
        assert rows.size == (0 if prob == 0 else (np.ptp(rows) + 1) * (np.ptp(columns) + 1))


def test_rectangles_follow_the_distribution() -> None:
    transform = erasing()
    boxes = np.array([transform._rectangle(224, 224) for _ in range(4000)])
    top, left, h, w = boxes.T
    assert (h < 224).all()
    assert (w < 224).all()
    assert (top >= 0).all()
    assert ((top + h) <= 224).all()
    assert ((left + w) <= 224).all()
    share, aspect = h * w / 224**2, h / w
    assert share.min() > 0.019
    assert share.max() < 0.336
    assert share.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.05)
    assert np.log(aspect).std() == pytest.approx(np.log(1 / 0.3) / np.sqrt(3), abs=0.05)
    # Both borders are reached: the last position counts.
    assert ((left + w) == 224).any()
    assert (left == 0).any()


def test_chance() -> None:
    transform = erasing(prob=0.25)
    erased = [(transform.transform(dict(img=image(32)))['img'] != 7).any() for _ in range(2000)]
    assert np.mean(erased) == pytest.approx(0.25, abs=0.03)


def test_image_is_left_alone_if_no_rectangle_fits() -> None:
    out = erasing(prob=1.0, area_range=(1.0, 1.0)).transform(dict(img=image(32)))['img']
    assert (out == 7).all()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(prob=1.5), 'prob must be in'),
        (dict(area_range=(0.5, 0.2)), 'area_range must be ascending'),
        (dict(aspect_range=(0.0, 1.0)), 'aspect_range must be ascending'),
    ],
)
def test_impossible_arguments(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        erasing(**kwargs)


def test_channels_must_match() -> None:
    with pytest.raises(ValueError, match='the image has 1 channels, mean and std have 3'):
        erasing().transform(dict(img=image()[..., :1]))


def test_randaugment_runs_every_operation() -> None:
    """Each of the 15 operations at full strength, on the installed NumPy and OpenCV."""
    from mmpretrain.registry import TRANSFORMS

    policy = dict(
        policies='timm_increasing',
        num_policies=1,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        operations = TRANSFORMS.build(dict(type='RandAugment', **policy)).transforms
    assert len(operations) == 15
    picture = np.random.randint(20, 200, (48, 64, 3), dtype=np.uint8)
    for operation in operations:
        assert operation.prob == 0.5
        operation.prob = 1.0
        out = operation.transform(dict(img=picture.copy()))['img']
        assert out.dtype == np.uint8
        assert out.shape == picture.shape
        assert (out != picture).any(), operation
