"""What tools/inference/*.py have in common: a folder in, results out, and what can go wrong."""

import shutil
from pathlib import Path

import make_mini
import pytest

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
# The library, the config, and an option that makes it another model.
TOOLS = {
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
    kind = dict(classify_video='videos', segment='inputs').get(tool.name, 'images')
    assert f'2 of 3 {kind} were skipped' in message
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
    other = CONFIGS / 'uniformer-mini_1xb32_digits.py'
    for message, said in {
        tool(inputs='nothing.jpg'): 'or folder nothing.jpg.',
        tool(inputs='empty'): 'empty holds no ',
        tool(weights='nothing.pth'): 'There is no checkpoint nothing.pth.',
        tool('--cfg-options', tool.other, inputs=file): 'does not fit',
        tool(config=other, weights='a'): f'is no config for {tool.library}: its default_scope is',
    }.items():
        assert message.startswith('error: ')
        assert said in message
    assert not Path('work_dirs').exists()
