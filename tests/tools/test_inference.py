"""What tools/inference/*.py have in common: a folder in, results out, and what can go wrong."""

import json
import shutil
import sys
from pathlib import Path

import av
import common
import cv2
import make_mini
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
# The library, the config, and an option that makes it another model.
TOOLS = {
    'classify': ('mmpretrain', 'uniformer-mini_1xb32_digits', 'model.head.num_classes=5'),
    'detect': (
        'mmdet',
        'mask-rcnn_uniformer-mini-h_fpn_coco-digits',
        'model.neck.out_channels=32',
    ),
    'segment': ('mmseg', 'uniformer-mini-g_fpn_ade20k-digits', 'model.neck.out_channels=32'),
    'pose': ('mmpose', 'td-hm_uniformer-mini_coco-people', 'model.head.out_channels=5'),
    'classify_video': (
        'mmaction',
        'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb',
        'model.cls_head.num_classes=5',
    ),
}
# Other networks, which need no other way of use.
OTHERS = {
    'detect light': ('mmdet', 'mask-rcnn_uniformer-light-mini_fpn_coco-digits', ''),
    'classify_video light': ('mmaction', 'uniformer-light-mini_u16_1xb16_kinetics-digits-rgb', ''),
    'classify_video dual': ('mmaction', 'dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb', ''),
}


@pytest.fixture(params=TOOLS)
def tool(request, random_weights, images, run_main, tmp_path, monkeypatch):
    """A function that runs a tool on a folder in the working directory."""
    library, name, other = {**TOOLS, **OTHERS}[request.param]
    script = request.param.partition(' ')[0]
    pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    if script == 'classify_video':
        data = make_mini.make('kinetics', tmp_path, counts=dict(val=2))
        shutil.rmtree(images)
        shutil.copytree(data / 'videos_val', images)
    config = CONFIGS / f'{name}.py'

    def run(*args: object, config=config, weights=None, inputs='images') -> object:
        weights = weights or random_weights(config)
        return run_main(f'tools/inference/{script}.py', config, weights, inputs, *args)

    run.name, run.library, run.other = script, library, other
    return run


def results(folder: str = 'out') -> list[str]:
    return sorted(path.name for path in Path(folder).rglob('*.*') if path.suffix != '.json')


def test_a_folder(tool, capsys) -> None:
    assert tool('--out-dir', 'out') == 0
    names = sorted(path.name for path in Path('images').iterdir() if path.suffix != '.txt')
    suffix = '.png' if tool.name == 'classify_video' else ''
    assert results() == [f'{name}{suffix}' for name in names]
    said = capsys.readouterr().out
    assert all(f'{result}: ' in said for result in results())
    assert f'{results()[0]} exists already; add --overwrite' in tool('--out-dir', 'out')

    first, second = (Path('images', name) for name in names)
    shutil.copy(first, first.with_name(f'z{first.suffix}'))
    first.write_bytes(b'')
    second.write_bytes(second.read_bytes()[:60])
    message = tool('--out-dir', 'out2', '--overwrite', '--fast')
    assert '2 of 3 inputs were skipped' in message
    assert f'{first}: ' in message and f'{second}: ' in message
    assert results('out2') == [f'z{first.suffix}{suffix}'], 'the others are done'


def test_one_bad_file_never_stops_a_folder(tool, capsys) -> None:
    """What is wrong is listed, what is no file of the kind is counted."""
    first, *_ = sorted(path for path in Path('images').iterdir() if path.suffix != '.txt')
    content = first.read_bytes()
    bad = [first.with_name(f'{name}{first.suffix}') for name in ('cut', 'folder', 'link', 'text')]
    bad[0].write_bytes(content[: len(content) // 2])
    bad[1].mkdir()
    bad[2].symlink_to('nowhere')
    bad[3].write_text('neither picture nor film')
    first.with_name('more').mkdir()
    message = tool('--out-dir', 'out')
    assert '4 of 6 ' in message
    assert all(f'{path}: ' in message for path in bad)
    assert 'a link to nowhere, which does not exist' in message
    assert 'left out are 1 folders and ' in capsys.readouterr().err
    assert len(results()) == 2


@pytest.mark.parametrize('tool', ['segment'], indirect=True)
def test_results_that_cannot_be_written(tool) -> None:
    Path('file').write_text('')
    assert tool('--out-dir', 'file').startswith('error: file/vis cannot be written to: ')
    assert tool('--out-dir', '/proc/out').startswith('error: /proc/out/vis cannot be written to: ')
    full = Path('out/vis/12.png')
    full.parent.mkdir(parents=True)
    full.symlink_to('/dev/full')
    assert tool('--out-dir', 'out', '--overwrite') == 'error: out/vis/12.png cannot be written.'


@pytest.mark.parametrize('tool', OTHERS, indirect=True)
def test_other_networks(tool) -> None:
    assert tool('--out-dir', 'out') == 0
    assert len(results()) == 2


def test_errors(tool) -> None:
    Path('empty').mkdir()
    (file, *_) = sorted(Path('images').iterdir())
    other = next(name for library, name, _ in TOOLS.values() if library != tool.library)
    Path('notes.txt').write_text('neither picture nor film')
    for message, said in {
        tool(inputs='nothing.jpg'): 'or folder nothing.jpg.',
        tool(inputs='empty'): 'empty holds no ',
        tool(inputs='notes.txt'): 'video by its name (',
        tool(weights='nothing.pth'): 'There is no checkpoint nothing.pth.',
        tool('--cfg-options', tool.other, inputs=file): 'does not fit',
        tool(
            config=CONFIGS / f'{other}.py', weights='a'
        ): f'is no config for {tool.library}: its default_scope is',
    }.items():
        assert message.startswith('error: ')
        assert said in message
    assert not Path('work_dirs').exists()


@pytest.fixture
def walk() -> Path:
    """A film of a photograph that passes by: 5 frames of 96 x 64, 10 in a second."""
    photograph = Image.fromarray(load_sample_image('china.jpg')).resize((128, 85))
    with av.open('walk.mp4', 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for left in range(0, 30, 6):
            frame = photograph.crop((left, 0, left + 96, 64))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return Path('walk.mp4')


def read_film(path: str) -> list[np.ndarray]:
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    return list(common.read_frames(capture))


@pytest.mark.parametrize('tool', ['classify', 'detect', 'pose'], indirect=True)
def test_videos_become_films_and_lists(tool, walk, capsys, monkeypatch) -> None:
    """Like the same frames as images; how far it is stands on a terminal."""
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    monkeypatch.setenv('TERM', 'xterm')
    assert tool('--out-dir', 'out', '--save-predictions', inputs=walk) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == 'out/vis/walk.mp4: 5 frames'
    assert 'walk.mp4' in said.err and '100%' in said.err
    films, frames = read_film('out/vis/walk.mp4'), read_film(str(walk))
    assert len(films) == len(frames) == 5
    cv2.imwrite('last.png', frames[-1])
    assert tool('--out-dir', 'out', '--save-predictions', inputs='last.png') == 0
    expected = json.loads(Path('out/preds/last.json').read_text())
    found = json.loads(Path('out/preds/walk.json').read_text())
    assert len(found) == 5 and found[-1] == expected
    picture = cv2.imread('out/vis/last.png')
    assert np.abs(films[-1].astype(int) - picture).mean() < 12, 'but for the compression'


@pytest.mark.parametrize('tool', ['classify'], indirect=True)
def test_a_camera_is_filmed_until_ctrl_c(tool, walk, monkeypatch) -> None:
    film, numbers = cv2.VideoCapture(str(walk)), []

    class Camera:
        """Its fourth frame is not waited for."""

        def __init__(self, number: int) -> None:
            numbers.append(number)
            self.left, self.get = 3, film.get

        def read(self) -> tuple[bool, np.ndarray]:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            return film.read()

    with monkeypatch.context() as patch:
        patch.setattr(cv2, 'VideoCapture', Camera)
        assert tool('--out-dir', 'out', '--save-predictions', inputs='camera:2') == 0
    assert numbers == [2]
    assert len(json.loads(Path('out/preds/camera2.json').read_text())) == 3
    assert len(read_film('out/vis/camera2.mp4')) >= 3, 'in real time'


@pytest.mark.parametrize('tool', ['classify'], indirect=True)
def test_names_of_classes(tool, random_weights) -> None:
    """Of a file, of the checkpoint, or numbers."""

    def classify(out: str, *args: object, **inputs: object) -> str:
        args = ('--out-dir', out, '--save-predictions', *args)
        assert tool(*args, inputs='images/7.jpg', **inputs) == 0
        return json.loads(Path(f'{out}/preds/7.json').read_text())['pred_class']

    number = classify('numbers').removeprefix('class ')
    Path('names.txt').write_text('\n'.join(f'digit {i}' for i in range(10)))
    assert classify('file', '--classes', 'names.txt') == f'digit {number}'
    checkpoint = torch.load(random_weights(CONFIGS / 'uniformer-mini_1xb32_digits.py'))
    checkpoint['meta'] = dict(dataset_meta=dict(classes=[f'number {i}' for i in range(10)]))
    torch.save(checkpoint, 'trained.pth')
    assert classify('checkpoint', weights='trained.pth') == f'number {number}'
