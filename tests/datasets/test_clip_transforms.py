"""Sampling and RandAugment of clips."""

import itertools

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS
from PIL import Image

from uniformer_mm.datasets import DenseClipSample, FirstCrop, SampleFramesV0, VideoRandAugment
from uniformer_mm.datasets.transforms.video_rand_augment import OPERATIONS
from uniformer_mm.errors import UserError

POLICIES = ['rand-m7-n4-mstd0.5-inc1', 'rand-m5-n2-mstd0.25', 'rand']


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def sample(sampler, total_frames: int, start_index: int = 0) -> np.ndarray:
    results = sampler.transform(dict(total_frames=total_frames, start_index=start_index))
    assert results['clip_len'] == sampler.clip_len
    assert results['num_clips'] == sampler.num_clips
    return results['frame_inds'].reshape(sampler.num_clips, sampler.clip_len)


def test_clips_are_the_authors(golden_video) -> None:
    """Ours of consecutive frames, and mmaction2's of a frame from every part."""
    vectors = golden_video['uniformer_protocol']
    assert (len(vectors['dense']), len(vectors['uniform'])) == (6, 4)
    for vector in [*vectors['dense'], *vectors['uniform']]:
        config = dict(clip_len=vector['frames'], num_clips=vector['clips'], test_mode=True)
        if 'stride' in vector:
            sampler = DenseClipSample(frame_interval=vector['stride'], **config)
            expected = vector['zero_based_indices']
        else:
            sampler = TRANSFORMS.build(dict(type='mmaction.UniformSample', **config))
            expected = vector['one_based_indices']
        found = sample(sampler, vector['total_frames'], start_index='stride' not in vector)
        assert found.tolist() == expected


@pytest.mark.parametrize('test_mode', [False, True])
def test_a_uniform_clip_has_a_frame_of_every_part(test_mode) -> None:
    """And none behind the last, at which the authors' sampler for short clips stops."""
    for clip_len, total in itertools.product((4, 8, 16, 32), range(1, 130)):
        config = dict(type='mmaction.UniformSample', clip_len=clip_len, test_mode=test_mode)
        (frames,) = sample(TRANSFORMS.build(config), total)
        borders = np.round((total - 1) / clip_len * np.arange(clip_len + 1))
        assert (borders[:-1] <= frames).all()
        assert (frames <= borders[1:]).all()
        assert frames.max() < total


def test_dense_training_starts_anywhere_a_clip_fits() -> None:
    starts = np.array([sample(DenseClipSample(16, 4), 264)[0] for _ in range(3000)])
    assert (starts.min(), starts[:, 0].max()) == (0, 199)
    assert starts[:, 0].mean() == pytest.approx(99.5, abs=3)
    # A start between two frames moves the rounding of the 4.2 frames from one step to the next.
    assert set((starts[:, -1] - starts[:, 0]).tolist()) == {63}
    assert set(np.diff(starts).flatten().tolist()) == {4, 5}
    assert len({tuple(clip - clip[0]) for clip in starts}) > 3


SHORT_VIDEOS = [
    (DenseClipSample(8, 2), 5, [[0, 2, 4, 4, 4, 4, 4, 4]]),
    (DenseClipSample(8, 2, 3, test_mode=True), 1, [[0] * 8] * 3),
    (SampleFramesV0(4, 2, 2, test_mode=True), 5, [[0, 2, 4, 1]] * 2),
    (SampleFramesV0(4, 2, 2, test_mode=True), 8, [[0, 2, 4, 6]] * 2),
]


@pytest.mark.parametrize(('sampler', 'frames', 'expected'), SHORT_VIDEOS)
def test_short_videos_repeat_the_last_frame_or_start_again(sampler, frames, expected) -> None:
    assert sample(sampler, frames).tolist() == expected


def test_clips_of_folders_and_of_mmaction_0() -> None:
    """Folders count from their start index; version 0 puts clip i at (i + 0.5) times its share."""
    clip = sample(DenseClipSample(4, 2, test_mode=True), 20, start_index=1)
    assert clip.tolist() == [[7, 9, 11, 14]]
    clips = sample(SampleFramesV0(32, 2, 4, test_mode=True), 300)
    assert clips[:, 0].tolist() == [29, 88, 148, 207]  # (300 - 64 + 1) / 4 = 59.25
    assert (np.diff(clips) == 2).all()


def test_v0_training_is_that_of_mmaction() -> None:
    config = dict(clip_len=8, frame_interval=4, num_clips=1)
    theirs = TRANSFORMS.build(dict(type='mmaction.SampleFrames', **config))
    for frames in (1, 20, 32, 33, 200):
        np.random.seed(frames)
        expected = sample(theirs, frames)
        np.random.seed(frames)
        assert sample(SampleFramesV0(**config), frames).tolist() == expected.tolist()


@pytest.mark.parametrize('sampler', [DenseClipSample, SampleFramesV0])
def test_impossible_samplers(sampler) -> None:
    with pytest.raises(ValueError, match='frame_interval must be a positive integer; got 0'):
        sampler(8, 0)
    with pytest.raises(ValueError, match='the video has no frames'):
        sample(sampler(8), 0)


@pytest.mark.parametrize('shape', [(8, 13, 3), (13, 8, 3), (8, 8, 3)])
def test_the_first_crop_is_that_of_three(shape) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    three = TRANSFORMS.build(dict(type='mmaction.ThreeCrop', crop_size=8))
    expected = three(dict(imgs=list(frames)))
    found = FirstCrop(8)(dict(imgs=list(frames)))
    assert np.array_equal(found['imgs'], expected['imgs'][: len(frames)])
    assert found['img_shape'] == expected['img_shape']


def test_impossible_crops() -> None:
    with pytest.raises(ValueError, match='crop_size must be a positive integer; got 0'):
        FirstCrop(0)
    message = r'frames whose shorter side is 8; got 9 x 7\. Put Resize with scale=\(-1, 8\)'
    with pytest.raises(UserError, match=message):
        FirstCrop(8)(dict(imgs=[np.zeros((7, 9, 3))]))


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_policies() -> None:
    found = [VideoRandAugment(policy) for policy in POLICIES]
    assert [(a.magnitude, a.num_ops, a.magnitude_std, a.increasing) for a in found] == [
        (7, 4, 0.5, True),
        (5, 2, 0.25, False),
        (10, 2, 0, False),
    ]
    for policy in ('rand-m7-w1', 'augmix-m3', 'rand-m11', 'rand-n0'):
        with pytest.raises(ValueError, match=f"policy '{policy}'"):
            VideoRandAugment(policy)


# name: (magnitude, argument in the plain set, argument in the increasing set), for sign 1, and for
# sign -1 where that differs.
ARGUMENTS = [
    *(('Rotate', 7, 21, 21), ('Rotate', 7, -21, -21, -1)),
    *(('Posterize', 7, 2, 2), ('Posterize', 2, 0, 4)),
    *(('Solarize', 7, 179, 77), ('SolarizeAdd', 7, 77, 77)),
    *(('Color', 7, 1.36, 1.63), ('Color', 5, 1.0, 0.55, -1), ('Contrast', 5, 1.0, 1.45)),
    *(('Brightness', 10, 1.9, 1.9), ('Sharpness', 0, 0.1, 1.0)),
    *(('ShearX', 7, 0.21, 0.21), ('ShearY', 10, 0.3, 0.3)),
    *(('TranslateX', 7, 0.315, 0.315), ('TranslateY', 5, 0.225, 0.225)),
]


def test_arguments_are_timms() -> None:
    assert {*OPERATIONS} == {'AutoContrast', 'Equalize', 'Invert', *(row[0] for row in ARGUMENTS)}
    for name, magnitude, plain, increasing, sign in [(*row, 1)[:5] for row in ARGUMENTS]:
        operation = OPERATIONS[name]
        assert operation.argument(magnitude / 10, sign) == pytest.approx(plain)
        chosen = operation.increasing or operation.argument
        assert chosen(magnitude / 10, sign) == pytest.approx(increasing)


def test_operations_on_pixels() -> None:
    pixels = noise().astype(int)

    def run(name: str, level: float, sign: int = 1, policy: str = 'rand') -> np.ndarray:
        operation = VideoRandAugment(policy).operation(name, level, sign)
        return operation(noise()[None])[0].astype(int)

    assert (run('Invert', 0.5) == 255 - pixels).all()
    assert (run('Solarize', 1.0) == pixels).all(), 'the plain set is the identity at 10'
    assert (run('Solarize', 1.0, policy='rand-inc1') == 255 - pixels).all()
    assert (run('Posterize', 0.5) == pixels & 0b11000000).all()
    assert (run('Posterize', 0.2, policy='rand-inc1') == pixels & 0b11110000).all()
    assert (run('SolarizeAdd', 1.0) == pixels + 110 * (pixels < 128)).all()
    # 0.45 of 40 columns are 18: the content moves to the left, grey comes in.
    moved = run('TranslateX', 1.0)
    assert (moved[:, :22] == pixels[:, 18:]).all()
    assert (moved[:, 22:] == 128).all()
    assert (run('TranslateX', 1.0, -1)[:, 18:] == pixels[:, :22]).all()
    assert (run('TranslateY', 0.5)[-5:] == 128).all()  # 0.5 of 0.45 of 24 rows are 5.4


@pytest.mark.parametrize('policy', ['rand', 'rand-inc1'])
@pytest.mark.parametrize('name', OPERATIONS)
def test_every_operation_takes_every_level(policy, name) -> None:
    augment, clip = VideoRandAugment(policy), noise()[None]
    for level, sign in itertools.product((0.0, 0.01, 0.5, 0.99, 1.0), (-1, 1)):
        changed = augment.operation(name, level, sign)(clip)
        assert (changed.shape, changed.dtype) == (clip.shape, np.uint8)


# name: what Pillow's affine map is for a value, width and height.
MOVES = {
    'ShearX': lambda v, w, h: (1, v, 0, 0, 1, 0),
    'ShearY': lambda v, w, h: (1, 0, 0, v, 1, 0),
    'TranslateX': lambda v, w, h: (1, 0, v * w, 0, 1, 0),
    'TranslateY': lambda v, w, h: (1, 0, 0, 0, 1, v * h),
}


@pytest.mark.parametrize('name', MOVES)
def test_moves_have_the_pixels_of_pillow(name) -> None:
    steps = np.where(noise() > 128, 255, 0).astype(np.uint8)
    clip = np.stack([noise(), steps, np.full_like(steps, 77)])
    for level in (0.0, 0.25, 0.5, 0.7, 1.0, *np.random.rand(20)):
        for sign in (-1, 1):
            value = OPERATIONS[name].argument(level, sign)
            expected = [
                image.transform(
                    image.size,
                    Image.Transform.AFFINE,
                    MOVES[name](value, *image.size),
                    resample=Image.Resampling.BICUBIC,
                    fillcolor=(128, 128, 128),
                )
                for image in map(Image.fromarray, clip)
            ]
            assert (VideoRandAugment('rand').operation(name, level, sign)(clip) == expected).all()


@pytest.mark.parametrize('policy', POLICIES)
def test_all_frames_get_the_same_operations(policy) -> None:
    augment = VideoRandAugment(policy)
    still, changed = noise(), 0
    for _ in range(40):
        first, second = augment.transform(dict(imgs=[still.copy(), still.copy()]))['imgs']
        assert (first == second).all()
        assert (first.dtype, first.shape) == (np.uint8, still.shape)
        assert first.flags.writeable, 'mmaction2 flips in place'
        changed += (first != still).any()
    assert changed > 20


def test_number_and_magnitudes_of_operations(monkeypatch) -> None:
    augment, seen = VideoRandAugment(POLICIES[0]), []
    monkeypatch.setattr(augment, 'operation', lambda *drawn: seen.append(drawn))
    counts = [len(augment.draw()) for _ in range(4000)]
    assert max(counts) == 4
    assert np.mean(counts) == pytest.approx(2, abs=0.05), 'each of four with chance 0.5'
    names, levels, signs = zip(*seen, strict=True)
    assert np.mean(levels) == pytest.approx(0.7, abs=0.005)
    assert np.std(levels) == pytest.approx(0.05, abs=0.003)
    assert np.mean(signs) == pytest.approx(0, abs=0.05)
    share = np.array([names.count(name) for name in OPERATIONS]) / len(names)
    assert share == pytest.approx(np.full(15, 1 / 15), abs=0.015)


def test_only_uint8_frames_are_augmented() -> None:
    with pytest.raises(ValueError, match='needs uint8 frames, got float32'):
        VideoRandAugment('rand-n15').transform(dict(imgs=[np.zeros((8, 8, 3), np.float32)]))
