"""The built-in videos: their files, and that one frame does not tell the class."""

from pathlib import Path

import av
import make_mini
import numpy as np
import pytest
from mini import drawing, kinetics, something
from mmaction.datasets import RawframeDataset, VideoDataset
from PIL import Image

COUNTS = dict(train=6, val=4)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('mini')
    for name in ('kinetics', 'something'):
        make_mini.make(name, out, counts=COUNTS)
    return out


def read_video(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format='rgb24') for f in container.decode(video=0)])


def test_kinetics_files(root) -> None:
    for split, count in COUNTS.items():
        dataset = VideoDataset(
            ann_file=str(root / f'kinetics/kinetics400_{split}_list_videos.txt'),
            data_prefix=dict(video=str(root / f'kinetics/videos_{split}')),
            pipeline=[],
        )
        assert len(dataset) == count
        for number in range(count):
            info = dataset.get_data_info(number)
            assert info['label'] == number % 4
            frames = read_video(info['filename'])
            assert frames.shape == (32, 80, 80, 3)
            assert np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)).min() > 0.5
    assert (root / 'kinetics/label_map.txt').read_text().split() == ['right', 'left', 'down', 'up']


def test_something_files(root) -> None:
    lengths = []
    for split, count in COUNTS.items():
        dataset = RawframeDataset(
            ann_file=str(root / f'something/sthv2_{split}_list_rawframes.txt'),
            data_prefix=dict(img=str(root / 'something/rawframes')),
            pipeline=[],
        )
        assert len(dataset) == count
        for number in range(count):
            info = dataset.get_data_info(number)
            files = sorted(Path(info['frame_dir']).iterdir())
            assert [file.name for file in files] == [
                f'img_{place:05d}.jpg' for place in range(1, info['total_frames'] + 1)
            ]
            assert Image.open(files[0]).size == (80, 80)
            lengths.append(len(files))
    assert len(list((root / 'something/rawframes').iterdir())) == sum(COUNTS.values())
    assert something.MIN_FRAMES <= min(lengths) < 16 < max(lengths) <= 32


@pytest.mark.parametrize('name', ['kinetics', 'something'])
def test_the_same_seed_gives_the_same_files(name, root, tmp_path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        files = (p for p in folder.rglob('*') if p.is_file())
        return {str(p.relative_to(folder)): p.read_bytes() for p in files}

    again = make_mini.make(name, tmp_path, counts=COUNTS)
    assert contents(again) == contents(root / name)


@pytest.mark.parametrize(('name', 'direction'), kinetics.DIRECTIONS.items())
def test_a_digit_moves_where_its_class_says(name, direction, monkeypatch) -> None:
    black = np.zeros((kinetics.SIDE, kinetics.SIDE, 3))
    monkeypatch.setattr(kinetics, 'random_background', lambda *args: black.copy())
    rng = np.random.default_rng(0)
    glyphs, photos = drawing.load_glyphs('val'), drawing.load_photos('val')
    for glyph, _ in glyphs[:5]:
        clip = kinetics.draw_clip(glyph, direction, photos, 9, rng).astype(float)
        first, last = (np.fft.fft2(frame.mean(2)) for frame in (clip[0], clip[8]))
        peak = np.fft.ifft2(last * first.conj()).real  # correlation on the torus
        moved = np.array(np.unravel_index(peak.argmax(), peak.shape))
        moved = (moved + kinetics.SIDE // 2) % kinetics.SIDE - kinetics.SIDE // 2
        along, across = moved @ direction, moved @ direction[::-1]
        assert 8 * kinetics.SPEED[0] - 1 <= along <= 8 * kinetics.SPEED[1] + 1
        assert abs(across) <= kinetics.DRIFT * along + 2


def test_where_a_digit_is_says_nothing_about_where_it_goes(monkeypatch) -> None:
    """In every frame it is anywhere on the torus, with the same chance for all classes."""
    grey = np.full((kinetics.SIDE, kinetics.SIDE, 3), 0.2)
    monkeypatch.setattr(kinetics, 'random_background', lambda *args: grey.copy())
    rng = np.random.default_rng(0)
    glyphs = drawing.load_glyphs('val')
    for direction in kinetics.DIRECTIONS.values():
        share = np.zeros((kinetics.SIDE, kinetics.SIDE))
        for number in range(120):
            clip = kinetics.draw_clip(glyphs[number][0], direction, [], 3, rng)
            share += np.abs(clip[2].astype(float) - 0.2 * 255).max(2) > 60
        share /= share.sum()
        for axis in (0, 1):
            quarters = share.sum(axis).reshape(4, -1).sum(1)
            assert quarters == pytest.approx([0.25] * 4, abs=0.09)
