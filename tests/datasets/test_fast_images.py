"""Quicker steps give the pixels of mmpretrain's."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope


@pytest.fixture(autouse=True)
def mmpretrain_scope() -> None:
    DefaultScope.get_instance('test_fast_images', scope_name='mmpretrain')


def images() -> list[np.ndarray]:
    """Noise, a narrow range, a small image, one of a single value, one with an empty channel."""
    rng = np.random.default_rng(0)
    shapes = [((48, 40, 3), 0, 256), ((64, 64, 3), 90, 140), ((9, 7, 3), 3, 250)]
    drawn = [rng.integers(low, high, shape, dtype=np.uint8) for shape, low, high in shapes]
    flat = np.full((32, 32, 3), 77, np.uint8)
    skewed = np.minimum(rng.integers(0, 256, (80, 80, 3)), 255).astype(np.uint8) // 200 * 255
    return [*drawn, flat, skewed, drawn[0] * np.uint8([1, 0, 1])]


def run(steps: list[dict], image: np.ndarray, seed: int) -> np.ndarray:
    np.random.seed(seed)
    results = dict(img=image.copy())
    for step in steps:
        results = TRANSFORMS.build(step)(results)
    return results['img']


OPERATIONS = dict(
    AutoContrast={},
    Brightness=dict(magnitude_range=(0, 0.9)),
    Contrast=dict(magnitude_range=(0, 0.9)),
    Equalize={},
    Solarize=dict(magnitude_range=(256, 0)),
    SolarizeAdd=dict(magnitude_range=(0, 110)),
)


@pytest.mark.parametrize('name', OPERATIONS)
def test_values_are_mapped_alike(name) -> None:
    levels = dict(magnitude_level=9, magnitude_std=3.0, total_level=10)
    options = OPERATIONS[name] and OPERATIONS[name] | levels
    for seed, image in enumerate(images() * 4):
        ours, theirs = (
            run([dict(type=kind, prob=0.8, **options)], image, seed)
            for kind in (f'uniformer_mm.{name}', name)
        )
        np.testing.assert_array_equal(ours, theirs)


def test_flip_and_rand_augment_draw_and_give_the_same(repo_root) -> None:
    flip = dict(prob=0.5, direction=['horizontal', 'vertical'])
    recipe = repo_root / 'configs/_base_/datasets/imagenet_bs128_uniformer_224.py'
    (augment,) = (
        step
        for step in Config.fromfile(recipe).train_pipeline
        if step.type == 'uniformer_mm.TableRandAugment'
    )
    for seed in range(25):
        image = images()[0]
        ours = [
            dict(type='uniformer_mm.ContiguousFlip', **flip),
            augment,
        ]
        theirs = [dict(type='RandomFlip', **flip), augment | dict(type='RandAugment')]
        np.testing.assert_array_equal(run(ours, image, seed), run(theirs, image, seed))
        assert run(ours[:1], image, seed).flags.c_contiguous
