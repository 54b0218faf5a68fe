"""How the original pose training moves, resizes and turns boxes."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from uniformer_mm.datasets import ClippedNormalScaleRotation, RandomBBoxShift
from uniformer_mm.registry import TRANSFORMS

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
