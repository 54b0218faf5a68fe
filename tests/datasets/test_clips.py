"""Videos and raw frames: decoding, repeated augmentation, and files that cannot be read."""

import logging
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import mmaction.datasets  # its collate function and decoders
import numpy as np
import pytest
import torch
from mini.clips import write_frames, write_video
from mmdet.engine.hooks import PipelineSwitchHook
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, FUNCTIONS, TRANSFORMS, DefaultScope
from mmengine.runner import ValLoop
from small_data import moving_bar, show_part, turn
from torch.utils.data import DataLoader, Dataset

from uniformer_mm.cli import UserError
from uniformer_mm.cli.messages import explain
from uniformer_mm.engine import LabelCheckHook, VideoDataHook

PYAV = ('uniformer_mm.PyAVInit', 'uniformer_mm.PyAVDecode')
DECORD = ('DecordInit', 'DecordDecode')
RAW_DECODE = dict(type='RawFrameDecode')
SAMPLE = dict(type='uniformer_mm.DenseClipSample', clip_len=8, frame_interval=2)
TRAIN_STEPS = [
    dict(type='uniformer_mm.VideoRandAugment', policy='rand-m7-n4-mstd0.5-inc1'),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='Flip'),
    dict(type='uniformer_mm.ClipRandomErasing', mean=[114.75] * 3, std=[57.375] * 3),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
TEST_STEPS = [
    dict(type='Resize', scale=(-1, 32)),
    dict(type='ThreeCrop', crop_size=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


@pytest.fixture(autouse=True)
def mmaction_scope() -> None:
    DefaultScope.get_instance('test_clips', scope_name='mmaction')
    np.random.seed(0)


def read(path: Path, inds: list[int] | None = None, decoder: tuple[str, str] = PYAV) -> dict:
    init, decode = (TRANSFORMS.build(dict(type=kind)) for kind in decoder)
    results = init(dict(filename=str(path)))
    results['frame_inds'] = np.arange(results['total_frames']) if inds is None else np.array(inds)
    return decode(results)


def read_with_both(path: Path, inds: list[int] | None = None) -> dict:
    """What both decoders agree on."""
    ours, theirs = (read(path, inds, decoder) for decoder in (PYAV, DECORD))
    for key in ('total_frames', 'img_shape'):
        assert ours[key] == theirs[key]
    assert ours['avg_fps'] == pytest.approx(theirs['avg_fps'], rel=0.01)
    np.testing.assert_array_equal(ours['imgs'], theirs['imgs'])
    return ours


@pytest.mark.parametrize('times', [None, [0, 1, 2, 5, 6, 10, 11, 12, 20, 21, *range(30, 40)]])
def test_pyav_and_decord_give_the_same_frames(times, tmp_path) -> None:
    """At a constant and a variable rate: frames are counted in their order, whatever the time."""
    path = write_video(tmp_path / 'clip.mp4', moving_bar(20), times)
    found = read_with_both(path)
    assert (found['total_frames'], found['img_shape']) == (20, (48, 64))
    for number, frame in enumerate(found['imgs']):
        bar = frame[..., 0].mean(0) > 150
        assert bar[2 * number + 1 : 2 * number + 7].all()
    inds = [3, 3, 19, 0, 7]  # any order, with repeats
    chosen = read_with_both(path, inds)['imgs']
    np.testing.assert_array_equal(chosen, np.stack(found['imgs'])[inds])
    assert not np.shares_memory(chosen[0], chosen[1])


@pytest.mark.parametrize(
    ('matrix', 'quarters'),  # anticlockwise
    [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1), ((1, 0, 0, 1), 0)],
)
def test_turned_videos_are_decoded_as_they_are_shown(matrix, quarters, tmp_path) -> None:
    path = write_video(tmp_path / 'clip.mp4', moving_bar(6, (64, 96)))
    stored = np.stack(read(path)['imgs'])
    turn(path, matrix)
    found = read_with_both(path)
    np.testing.assert_array_equal(found['imgs'], np.rot90(stored, quarters, axes=(1, 2)))


@pytest.mark.parametrize('first', [5, 0])
def test_a_part_of_a_video_is_what_decord_makes_of_it(first, tmp_path) -> None:
    path = write_video(tmp_path / 'clip.mp4', moving_bar(20))
    whole = np.stack(read(path)['imgs'])
    show_part(path, first, 10)
    shown = np.minimum(np.arange(20), 9) + first
    np.testing.assert_array_equal(read_with_both(path)['imgs'], whole[shown])


@pytest.mark.parametrize(('suffix', 'codec'), [('mkv', 'libx264'), ('webm', 'libvpx')])
def test_frames_are_counted_where_the_header_does_not_tell(suffix, codec, tmp_path) -> None:
    path = write_video(tmp_path / f'clip.{suffix}', moving_bar(20), codec=codec)
    assert read(path)['total_frames'] == len(read(path)['imgs']) == 20
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    cut = read(path)
    assert 0 < cut['total_frames'] == len(cut['imgs']) < 20


def test_a_video_that_ends_early_repeats_its_last_frame(tmp_path) -> None:
    path = write_video(tmp_path / 'clip.mp4', moving_bar(5))
    frames = np.stack(read(path, [3, 4, 5, 9])['imgs'])
    assert (frames[1] == frames[2:]).all()
    assert (frames[0] != frames[1]).any()


@pytest.fixture
def videos(tmp_path) -> Path:
    """Landscape, portrait and one-frame videos with a list file in K400's format."""
    shapes = [(24, (48, 64)), (24, (96, 64)), (1, (48, 64)), (10, (160, 64))]
    for number, (count, shape) in enumerate(shapes):
        write_video(tmp_path / f'videos/{number}.mp4', moving_bar(count, shape, number))
    (tmp_path / 'list.csv').write_text('0.mp4,0\n1.mp4,1\n2.mp4,0\n3.mp4,1\n')
    return tmp_path


def pipeline(steps: list[dict], decoder: tuple[str, str] = PYAV, **sampling) -> list[dict]:
    return [dict(type=decoder[0]), SAMPLE | sampling, dict(type=decoder[1]), *steps]


TRAIN = pipeline(TRAIN_STEPS)
TEST = dict(steps=pipeline(TEST_STEPS, num_clips=4, test_mode=True), test_mode=True)


def dataset_of(
    root: Path, kind: str = 'ReportingVideoDataset', steps: list[dict] = TRAIN, **kwargs
) -> Dataset:
    """The videos of a list with commas, or the folders of one with blanks."""
    config = dict(
        type=f'uniformer_mm.{kind}',
        ann_file=str(root / 'list.csv'),
        data_prefix=dict(video=str(root / 'videos'), img=str(root / 'frames')),
        serialize_data=False,  # saves a garbage collection
        pipeline=steps,
    )
    commas = dict(delimiter=',') if 'Video' in kind else {}
    return DATASETS.build(config | commas | kwargs)


@pytest.mark.parametrize('decoder', [PYAV, DECORD])
def test_repeats_share_their_frames_and_nothing_else(videos, decoder) -> None:
    still = [dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
    dataset = dataset_of(videos, 'RepeatAugVideoDataset', pipeline(still, decoder))
    for index in range(len(dataset)):
        first, second = dataset[index]
        assert (first['inputs'] == second['inputs']).all()
        assert first['inputs'].data_ptr() != second['inputs'].data_ptr()
        assert first['data_samples'].gt_label == second['data_samples'].gt_label == index % 2

    dataset = dataset_of(videos, 'RepeatAugVideoDataset', pipeline(TRAIN_STEPS, decoder))
    first, second = dataset[0]
    assert first['inputs'].shape == (1, 3, 8, 32, 32)
    assert (first['inputs'] != second['inputs']).any()


def test_a_pipeline_set_later_is_the_one_that_runs(videos) -> None:
    """As mmdet's PipelineSwitchHook sets it."""
    dataset = dataset_of(videos, 'RepeatAugVideoDataset')
    assert dataset[0][0]['inputs'].shape[-2:] == (32, 32)
    still = [dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')]
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(epoch=1, logger=logging.getLogger(), train_dataloader=loader)
    PipelineSwitchHook(1, pipeline(still)).before_train_epoch(runner)
    first, second = dataset[0]
    assert first['inputs'].shape == (1, 3, 8, 48, 64)
    assert (first['inputs'] == second['inputs']).all()
    dataset.pipeline = Compose(still)
    with pytest.raises(ValueError, match='decodes nothing'):
        dataset[0]


def test_mmactions_browser_shows_every_step(videos, run_main) -> None:
    config = videos / 'config.py'
    dataset = dict(
        type='uniformer_mm.RepeatAugVideoDataset',
        num_repeats=None,
        ann_file=str(videos / 'list.csv'),
        data_prefix=dict(video=str(videos / 'videos')),
        delimiter=',',
        pipeline=TRAIN,
    )
    config.write_text(f'train_dataloader = dict(dataset={dataset})')
    tool = Path(mmaction.__file__).with_name('.mim') / 'tools/visualizations/browse_dataset.py'
    assert run_main(tool, config, videos / 'shown', '-n', 1, '--mode', 'pipeline') == 0
    height, width = read(videos / 'shown/video_0.mp4')['img_shape']
    assert width > height > 48


def test_repeats_of_raw_frames(tmp_path) -> None:
    for number in range(2):
        write_frames(tmp_path / f'frames/{number}', moving_bar(12), '{:05}.jpg')
    (tmp_path / 'list.csv').write_text('0 12 5\n1 12 3\n')
    steps = [dict(type='UniformSample', clip_len=16), RAW_DECODE, *TRAIN_STEPS]
    dataset = dataset_of(
        tmp_path, 'RepeatAugRawframeDataset', steps, filename_tmpl='{:05}.jpg', num_repeats=3
    )
    collate = FUNCTIONS.get('repeat_pseudo_collate')
    batch = collate([dataset[0], dataset[1]])
    assert [tuple(clip.shape) for clip in batch['inputs']] == [(1, 3, 16, 32, 32)] * 6
    assert [s.gt_label.item() for s in batch['data_samples']] == [5, 5, 5, 3, 3, 3]


def test_every_shape_and_length_is_tested(videos) -> None:
    dataset = dataset_of(videos, **TEST)
    for index in range(len(dataset)):
        assert dataset[index]['inputs'].shape == (4 * 3, 3, 8, 32, 32)
    views = dataset[2]['inputs'].view(3, 4, 3, 8, 32, 32)
    assert (views == views[:, :1, :, :1]).all(), 'one frame: every clip and frame is the same'
    assert (views[0] != views[1]).any()


@pytest.fixture
def broken(videos) -> Path:
    """Videos of which the second is a web page."""
    (videos / 'videos/1.mp4').write_bytes(b'<html>404</html>' * 80)
    return videos


@pytest.mark.parametrize('decoder', [PYAV, DECORD])
@pytest.mark.parametrize('kind', ['empty', 'truncated', 'text', 'missing'])
def test_a_broken_video_is_named_or_skipped(videos, kind, decoder) -> None:
    file = videos / 'videos/1.mp4'
    damage = dict(empty=b'', truncated=file.read_bytes()[:900], text=b'<html>404</html>' * 80)
    file.unlink() if kind == 'missing' else file.write_bytes(damage[kind])
    steps = pipeline(TRAIN_STEPS, decoder)
    strict = dataset_of(videos, 'RepeatAugVideoDataset', steps)
    assert len(strict[0]) == 2
    with pytest.raises(UserError, match=r'videos/1\.mp4 cannot be read: .*Take it out of .*list'):
        strict[1]

    lenient = dataset_of(videos, 'RepeatAugVideoDataset', steps, on_error='skip')
    assert len(lenient[1]) == len(lenient[1]) == 2
    assert lenient.unreadable.tolist() == [0, 1, 0, 0]


def test_a_test_sees_a_black_clip_in_place_of_a_broken_video(broken) -> None:
    with pytest.raises(UserError, match='cannot be read'):
        dataset_of(broken, **TEST)[1]
    lenient = dataset_of(broken, **TEST, on_error='skip')
    sample = lenient[1]
    assert sample['inputs'].shape == lenient[0]['inputs'].shape
    assert not sample['inputs'].any()
    assert sample['data_samples'].gt_label == 1
    assert lenient.unreadable.tolist() == [0, 1, 0, 0]


def test_a_test_sees_a_black_clip_in_place_of_an_empty_folder(tmp_path) -> None:
    (tmp_path / 'list.csv').write_text('a 0 3\n')
    steps = [SAMPLE | dict(test_mode=True), RAW_DECODE, *TEST_STEPS]
    dataset = dataset_of(
        tmp_path, 'ReportingRawframeDataset', steps, test_mode=True, on_error='skip'
    )
    assert dataset[0]['inputs'].shape == (3, 3, 8, 32, 32)
    assert not dataset[0]['inputs'].any()


@pytest.mark.parametrize('damage', [b'', b'no image', None])
def test_a_broken_raw_frame(tmp_path, damage) -> None:
    folder = write_frames(tmp_path / 'frames/a', moving_bar(8))
    frame = folder / 'img_00004.jpg'
    frame.unlink() if damage is None else frame.write_bytes(damage)
    (tmp_path / 'list.csv').write_text('a 8 0\n')
    steps = [SAMPLE | dict(frame_interval=1), RAW_DECODE, *TRAIN_STEPS]
    with pytest.raises(UserError, match='frames/a cannot be read'):
        dataset_of(tmp_path, 'RepeatAugRawframeDataset', steps)[0]


def test_nothing_can_be_read(videos) -> None:
    for file in (videos / 'videos').iterdir():
        file.write_bytes(b'')
    dataset = dataset_of(videos, on_error='skip', max_refetch=5)
    with pytest.raises(UserError, match=r'6 samples of .*list\.csv in a row .*the log names'):
        dataset[0]


@pytest.mark.parametrize(
    ('text', 'kwargs', 'error', 'message'),
    [
        (None, {}, FileNotFoundError, r'(?s)list\.csv.*docs/data\.md'),
        ('', {}, UserError, r'list\.csv lists no video'),
        ('0.mp4 0\ntwo words.mp4 1\n', dict(delimiter=' '), UserError, 'line in another format'),
        ('0.mp4,0\n0.mp4,one\n', {}, UserError, r'list\.csv has a line in another format'),
        (
            '0.mp4,0\n',
            dict(on_error='ignore'),
            ValueError,
            "must be one of 'raise', 'skip'",
        ),
        ('0.mp4,0\n', dict(num_repeats=0), ValueError, 'num_repeats must be a positive integer'),
        ('0.mp4,0\n', dict(pipeline=TRAIN_STEPS), ValueError, 'decodes nothing: VideoRandAug'),
    ],
)
def test_impossible_lists_and_arguments(text, kwargs, error, message, tmp_path) -> None:
    if text is not None:
        (tmp_path / 'list.csv').write_text(text)
    with pytest.raises(error) as found:
        dataset_of(tmp_path, 'RepeatAugVideoDataset', **kwargs)
    assert re.search(message, explain(found.value) or str(found.value))


def runner_of(dataset) -> SimpleNamespace:
    """What the hook looks at: a network of two classes and its data."""
    loop = ValLoop.__new__(ValLoop)
    loop.dataloader = SimpleNamespace(dataset=dataset)
    model = torch.nn.Module()
    model.cls_head = torch.nn.Module()
    model.cls_head.num_classes = 2
    logger = logging.getLogger('test_clips')
    loops = dict(_train_loop=None, _val_loop=loop, _test_loop=None)
    return SimpleNamespace(model=model, logger=logger, **loops)


def test_skipped_videos_of_all_workers_are_counted_and_named(broken, caplog) -> None:
    dataset = dataset_of(broken, 'RepeatAugVideoDataset', on_error='skip')
    collate = FUNCTIONS.get('repeat_pseudo_collate')
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=collate)
    assert [len(batch['inputs']) for batch in loader] == [4, 4]
    with caplog.at_level(logging.INFO):
        VideoDataHook().after_run(runner_of(dataset))
    assert '1 of 4 could not be read and were skipped: ' in caplog.text
    assert 'videos/1.mp4.' in caplog.text


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('0.mp4,0\n1.mp4,1\n', None),
        ('0.mp4,0\n1.mp4,2\n', r'1 of 2 labels are not from 0 to 1.*the first is 2 of .*1\.mp4'),
        ('0.mp4,0\n1.mp4,-3\n', 'the first is -3 of '),
        ('0.mp4 0\n1.mp4 1\n', "2 of 2 labels.* a line without a label: .*delimiter=','"),
    ],
)
def test_labels_are_in_range(videos, lines, message) -> None:
    (videos / 'list.csv').write_text(lines)
    dataset = dataset_of(videos)
    with pytest.raises(UserError, match=message) if message else nullcontext():
        LabelCheckHook().before_run(runner_of(dataset))
