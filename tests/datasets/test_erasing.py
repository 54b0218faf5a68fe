"""Random erasing in normalised space, of images and clips; mmpretrain's RandAugment."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from uniformer_mm.datasets import ClipRandomErasing, NormalizedRandomErasing

BGR_MEAN, BGR_STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
CLIP_MEAN, CLIP_STD = [114.75] * 3, [57.375] * 3


def erasing(**kwargs) -> NormalizedRandomErasing:
    return NormalizedRandomErasing(mean=BGR_MEAN, std=BGR_STD, **kwargs)


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def image(side: int = 224) -> np.ndarray:
    return np.full((side, side, 3), 7, dtype=np.uint8)


def assert_rectangle(changed: np.ndarray) -> None:
    """The pixels that changed, (H, W), fill one rectangle."""
    rows, columns = np.nonzero(changed)
    assert rows.size == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


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
    assert out.min() < 0 and out.max() > 255, 'unbounded'
    assert torch.corrcoef(noise).triu(1).abs().max() < 0.03


def test_one_box_a_clip_and_new_noise_in_every_frame() -> None:
    transform = ClipRandomErasing(CLIP_MEAN, CLIP_STD, prob=1.0)
    assert (transform.max_attempts, transform.area_range) == (100, (0.02, 1 / 3))
    before = [image() for _ in range(16)]
    clip = np.stack(transform.transform(dict(imgs=before, clip_len=8))['imgs'])
    assert all((frame == 7).all() for frame in before)
    boxes = (clip != 7).any(axis=3)
    for first in (0, 8):  # two clips of eight frames
        assert (boxes[first : first + 8] == boxes[first]).all()
        assert_rectangle(boxes[first])
    assert (boxes[0] != boxes[8]).any()
    noise = (clip[:8, boxes[0]] - CLIP_MEAN) / CLIP_STD  # frames, pixels, channels
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    between_frames = np.corrcoef(noise.reshape(8, -1))[np.triu_indices(8, 1)]
    assert np.abs(between_frames).max() < 0.1


def test_rectangles_follow_the_distribution() -> None:
    transform = erasing()
    top, left, h, w = np.array([transform._rectangle(224, 224) for _ in range(4000)]).T
    assert (h < 224).all() and (w < 224).all()
    assert (top >= 0).all() and (left >= 0).all()
    # Both borders are reached: the last position counts.
    assert (top + h).max() == (left + w).max() == 224
    assert left.min() == top.min() == 0
    share, aspect = h * w / 224**2, h / w
    assert 0.019 < share.min() < share.max() < 0.336
    assert share.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.05)
    assert np.log(aspect).std() == pytest.approx(np.log(1 / 0.3) / np.sqrt(3), abs=0.05)


def test_a_share_is_erased_and_all_become_float32() -> None:
    clips = ClipRandomErasing(CLIP_MEAN, CLIP_STD, prob=0.25)
    images, before = erasing(prob=0.25), image(32)
    for run in (
        lambda: images.transform(dict(img=before))['img'],
        lambda: clips.transform(dict(imgs=[before], clip_len=1))['imgs'][0],
    ):
        found = [run() for _ in range(2000)]
        assert {out.dtype for out in found} == {np.dtype('float32')}
        erased = [out for out in found if (out != before).any()]
        assert len(erased) / 2000 == pytest.approx(0.25, abs=0.03)
        assert_rectangle((erased[0] != before).any(axis=2))
    assert (before == 7).all()


def test_image_is_left_alone_if_no_rectangle_fits() -> None:
    out = erasing(prob=1.0, area_range=(1.0, 1.0)).transform(dict(img=image(32)))['img']
    assert (out == 7).all()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(prob=1.5), 'prob must be a number in'),
        (dict(area_range=(0.5, 0.2)), 'area_range must be two numbers, ascending'),
        (dict(aspect_range=(0.0, 1.0)), 'aspect_range must be a list, each entry a positive'),
        ({}, 'the image has 1 channels, mean and std have 3'),
    ],
)
def test_impossible_arguments(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        erasing(**kwargs).transform(dict(img=image()[..., :1]))


def test_randaugment_runs_every_operation(repo_root) -> None:
    """Each of the recipe's 15 operations, on the installed NumPy and OpenCV."""
    from mmpretrain.registry import TRANSFORMS

    cfg = Config.fromfile(repo_root / 'configs/_base_/datasets/imagenet_bs128_uniformer_224.py')
    (policy,) = [step for step in cfg.train_pipeline if 'RandAugment' in step.type]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        operations = TRANSFORMS.build(dict(policy, magnitude_level=9)).transforms
    assert len(operations) == 15
    picture = np.random.randint(20, 200, (48, 64, 3), dtype=np.uint8)
    for operation in operations:
        assert operation.prob == 0.5
        operation.prob = 1.0
        out = operation.transform(dict(img=picture.copy()))['img']
        assert (out.dtype, out.shape) == (np.uint8, picture.shape)
        assert (out != picture).any(), operation
