"""How the original pose training moves, resizes and turns boxes."""

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from scipy.stats import kstest, norm

from uniformer_mm.datasets import ClippedNormalScaleRotation, RandomBBoxShift
from uniformer_mm.registry import TRANSFORMS

pytest.importorskip('mmpose')
MANY = 40_000


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def draw_scale_and_rotation(**kwargs) -> tuple[np.ndarray, np.ndarray]:
    """Factors (N,) and rotations (N,) of many boxes."""
    results = dict(bbox_scale=np.tile(np.float32([[40, 80]]), (MANY, 1)))
    out = ClippedNormalScaleRotation(**kwargs).transform(results)
    factors = out['bbox_scale'] / np.float32([40, 80])
    assert np.allclose(factors[:, 0], factors[:, 1]), 'one factor for both sides'
    assert out['bbox_scale'].dtype == out['bbox_rotation'].dtype == np.float32
    return factors[:, 0], out['bbox_rotation']


def test_scale_is_a_clipped_normal() -> None:
    factors, _ = draw_scale_and_rotation()
    assert factors.min() == 0.5
    assert factors.max() == 1.5
    tail = norm.cdf(-1)  # 16 % on each limit, where a truncated normal has nothing
    assert (factors == 0.5).mean() == pytest.approx(tail, abs=0.01)
    assert (factors == 1.5).mean() == pytest.approx(tail, abs=0.01)
    inside = factors[(factors > 0.5) & (factors < 1.5)]
    assert kstest((inside - 1) / 0.5, lambda x: (norm.cdf(x) - tail) / (1 - 2 * tail))[1] > 0.01


def test_rotation_is_a_clipped_normal() -> None:
    _, rotation = draw_scale_and_rotation()
    turned = rotation[rotation != 0]
    assert len(turned) / MANY == pytest.approx(0.6, abs=0.01)
    assert abs(turned).max() == 80
    assert (abs(turned) == 80).mean() == pytest.approx(2 * norm.cdf(-2), abs=0.01)
    assert (abs(turned) < 40).mean() == pytest.approx(0.683, abs=0.01)
    assert turned.mean() == pytest.approx(0, abs=1)


def test_stock_transform_only_approximates() -> None:
    """The reason for having our own, in the numbers that the config file mentions."""
    from mmpose.datasets.transforms import RandomBBoxTransform

    stock = RandomBBoxTransform(shift_prob=0)
    results = dict(bbox_center=np.zeros((MANY, 2)), bbox_scale=np.ones((MANY, 2)))
    out = stock.transform(results)
    scale, turned = out['bbox_scale'][:, 0], out['bbox_rotation'][out['bbox_rotation'] != 0]
    assert 0.5 < scale.min() < scale.max() < 1.5
    assert (abs(turned) < 40).mean() == pytest.approx(0.56, abs=0.01)


@pytest.mark.parametrize(('prob', 'share'), [(0.0, 0), (1.0, 1)])
def test_probabilities(prob, share) -> None:
    factors, rotation = draw_scale_and_rotation(scale_std=0.0, rotation_prob=prob)
    assert (factors == 1).all()
    assert (rotation != 0).mean() == pytest.approx(share, abs=0.01)


def test_shift_is_uniform_in_the_raw_box() -> None:
    box = np.tile(np.float32([[10, 20, 50, 120]]), (MANY, 1))
    center = np.tile(np.float32([[30, 70]]), (MANY, 1))
    out = RandomBBoxShift().transform(dict(bbox=box, bbox_center=center))
    shift = (out['bbox_center'] - center) / [40, 100]
    moved = shift[shift.any(1)]
    assert len(moved) / MANY == pytest.approx(0.3, abs=0.01)
    assert out['bbox_center'].dtype == np.float32
    for axis in range(2):
        assert kstest(moved[:, axis], 'uniform', args=(-0.2, 0.4))[1] > 0.01
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.03


def test_order_in_the_pipeline() -> None:
    """A half body replaces the shifted box, whose center then does not matter."""
    from mmpose.registry import TRANSFORMS

    with DefaultScope.overwrite_default_scope('mmpose'):
        shift = TRANSFORMS.build(dict(type='uniformer_mm.RandomBBoxShift', prob=1.0))
        half = TRANSFORMS.build(dict(type='RandomHalfBody', prob=1.0))
    points = np.random.rand(1, 17, 2).astype(np.float32) * 50
    results = dict(
        bbox=np.float32([[0, 0, 50, 50]]),
        bbox_center=np.float32([[25, 25]]),
        bbox_scale=np.float32([[62.5, 62.5]]),
        keypoints=points,
        keypoints_visible=np.ones((1, 17)),
        upper_body_ids=list(range(11)),
        lower_body_ids=list(range(11, 17)),
    )
    center = half.transform(shift.transform(results))['bbox_center'][0]
    means = [points[0, :11].mean(0), points[0, 11:].mean(0)]
    assert any(np.allclose(center, mean) for mean in means)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='RandomBBoxShift', prob=1.5),
        dict(type='RandomBBoxShift', max_shift=-0.1),
        *(
            dict(type='ClippedNormalScaleRotation', **wrong)
            for wrong in (dict(scale_std=1.0), dict(rotation_std=-1), dict(rotation_prob=-0.1))
        ),
    ],
    ids=str,
)
def test_impossible_arguments(config) -> None:
    with pytest.raises(ValueError, match='must'):
        TRANSFORMS.build(config)
