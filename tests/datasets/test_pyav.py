"""Decoding from key frames gives the frames that decoding all of them gives."""

from pathlib import Path

import av
import numpy as np
import pytest
from mini.clips import write_video
from small_data import moving_bar, show_part

from uniformer_mm.datasets.transforms import PyAVDecode, PyAVInit, pyav

FRAMES = 60
CHOICES = ([0], [59], [31, 30], [*range(3, 60, 4)], [12, 13, 45, 13], [58, 1])


def counted(path: Path) -> np.ndarray:
    """All frames, decoded one after the other."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1  # or damage looks different in each run
        return np.stack([f.to_ndarray(format='rgb24') for f in container.decode(video=0)])


def chosen(path: Path, inds: list[int]) -> list[np.ndarray]:
    results = PyAVInit()(dict(filename=str(path)))
    return PyAVDecode()(dict(results, frame_inds=np.array(inds)))['imgs']


def assert_same(path: Path, choices: tuple[list[int], ...] = CHOICES) -> None:
    frames = counted(path)
    for inds in choices:
        last = np.minimum(inds, len(frames) - 1)
        np.testing.assert_array_equal(chosen(path, inds), frames[last])


@pytest.fixture
def no_counting(monkeypatch) -> None:
    """Fail where all frames are decoded."""
    monkeypatch.setattr(pyav._Video, 'from_start', None)


X264 = 'libx264', 'mp4'
FAST = [
    (*X264, dict(g='250', bf='0')),
    (*X264, dict(g='250', bf='3')),
    (*X264, dict(g='12', bf='3')),
    (*X264, {'x264-params': 'open-gop=1:bframes=3:keyint=8:min-keyint=8:scenecut=0:b-adapt=0'}),
    (*X264, dict(g='1')),
    ('libx264', 'mkv', dict(g='12', bf='3')),
    ('libx264', 'ts', dict(g='12', bf='3')),
    ('libx265', 'mp4', {'x265-params': 'keyint=8:min-keyint=8:bframes=3:open-gop=1:log-level=0'}),
    ('libvpx-vp9', 'webm', {'g': '12', 'cpu-used': '8'}),
]


@pytest.mark.parametrize(('codec', 'suffix', 'options'), FAST)
def test_each_chosen_frame_comes_from_its_key_frame(
    codec, suffix, options, tmp_path, no_counting
) -> None:
    frames = moving_bar(FRAMES)
    assert_same(write_video(tmp_path / f'clip.{suffix}', frames, None, codec, **options))


def test_key_frames_are_found_at_a_variable_rate(tmp_path, no_counting) -> None:
    times = np.cumsum(np.random.default_rng(0).integers(1, 9, FRAMES)).tolist()
    assert_same(write_video(tmp_path / 'clip.mp4', moving_bar(FRAMES), times, g='12', bf='3'))


def test_nothing_before_the_key_frame_or_that_no_frame_needs_is_decoded(
    tmp_path, monkeypatch
) -> None:
    path = write_video(tmp_path / 'clip.mp4', moving_bar(FRAMES), g='12', bf='3')
    decoded = []
    decode = pyav._Video._decode
    monkeypatch.setattr(
        pyav._Video,
        '_decode',
        lambda *args: (decoded.append(frame) or frame for frame in decode(*args)),
    )
    chosen(path, [14, 50])
    assert len(decoded) < 10
    decoded.clear()
    chosen(path, [47])
    assert len(decoded) < 12, 'frames to which no other refers are left out'


@pytest.mark.parametrize(
    ('codec', 'suffix', 'options'),
    [
        ('mpeg4', 'avi', dict(bf='2', g='12')),  # packets without a time
        ('libvpx', 'webm', {'auto-alt-ref': '1', 'lag-in-frames': '16', 'g': '20'}),  # hidden ones
        (*X264, {'x264-params': 'intra-refresh=1:keyint=8:bframes=0'}),  # key frames that are none
    ],
)
def test_all_frames_are_counted_where_times_do_not_number_them(
    codec, suffix, options, tmp_path
) -> None:
    frames = moving_bar(FRAMES)
    assert_same(write_video(tmp_path / f'clip.{suffix}', frames, None, codec, **options))


@pytest.mark.parametrize(('first', 'count'), [(5, 30), (13, 40), (0, 20)])
def test_frames_that_an_edit_list_hides(first, count, tmp_path) -> None:
    path = write_video(tmp_path / 'clip.mp4', moving_bar(FRAMES), g='12', bf='3')
    show_part(path, first, count)
    assert len(counted(path)) == count
    assert_same(path)


@pytest.mark.parametrize(
    ('suffix', 'kept'), [('mkv', (0, 0.7)), ('ts', (0, 0.7)), ('ts', (0.2, 1)), ('ts', (0.2, 0.7))]
)
def test_cut_off_files(suffix, kept, tmp_path) -> None:
    """At the end, and of a stream at the start, so that it does not begin with a key frame."""
    path = write_video(tmp_path / f'clip.{suffix}', moving_bar(FRAMES), g='12', bf='3')
    content = path.read_bytes()
    start, end = (int(part * len(content)) // 188 * 188 for part in kept)
    path.write_bytes(content[start:end])
    assert_same(path, (*CHOICES, [len(counted(path)) - 1]))
