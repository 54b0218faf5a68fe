"""tools/app.py: the page of mini models, asked as programs and as people ask it."""

import re
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import httpx
import make_mini
import numpy as np
import pytest
from browser import needs_browser, open_page
from PIL import Image

gradio_client = pytest.importorskip('gradio_client')
pytest.importorskip('gradio')
pytest.importorskip('pytorch_grad_cam')
REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / 'configs/mini'
sys.path.append(str(REPO / 'tools'))
import app  # noqa: E402

# What the page calls a task: the config, and the tool that does the same.
TASKS = dict(
    classify=('uniformer-mini_1xb32_digits', 'classify'),
    detect=('mask-rcnn_uniformer-mini-h_fpn_coco-digits', 'detect'),
    segment=('uniformer-mini-g_fpn_ade20k-digits', 'segment'),
    pose=('td-hm_uniformer-mini_coco-people', 'pose'),
    action=('uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb', 'classify_video'),
)


@pytest.fixture(scope='module')
def served(random_weights, tmp_path_factory):
    """A page of all tasks for files up to 1 MiB: its address, and the weights of its models."""
    folder = tmp_path_factory.mktemp('page')
    weights = {task: folder / f'{task}.pth' for task in TASKS}
    words = ['--max-size', '1']
    for task, (config, _) in TASKS.items():
        shutil.copy(random_weights(CONFIGS / f'{config}.py'), weights[task])
        words += ['--model', str(CONFIGS / f'{config}.py'), str(weights[task]), '--device', 'cpu']
    args = app.parse_args(words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GRADIO_TEMP_DIR', str(folder / 'files'))
        tabs = [
            app.Tab(task, app.Model(model)) for task, model in zip(TASKS, args.models, strict=True)
        ]
        page = app.build_page(tabs)
        yield SimpleNamespace(address=app.open_page(page, args), weights=weights)
        page.close()


@pytest.fixture(scope='module')
def client(served):
    return gradio_client.Client(served.address, verbose=False)


@pytest.fixture
def clip(tmp_path) -> Path:
    (file, *_) = make_mini.make('kinetics', tmp_path, counts=dict(val=1)).glob('videos_val/*')
    return file


@pytest.mark.parametrize('task', TASKS)
def test_shows_what_the_tool_shows(
    task, served, client, images, clip, random_weights, run_main, tmp_path, capsys
) -> None:
    file = clip if task == 'action' else images / '12.png'
    config, tool = TASKS[task]
    dropped = gradio_client.handle_file(file)
    text, shares, picture, heat = client.predict(dropped, 3, api_name=f'/{task}')
    config = CONFIGS / f'{config}.py'
    args = (config, random_weights(config), file, '--out-dir', tmp_path / 'out')
    assert run_main(f'tools/inference/{tool}.py', *args) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f': {text}')
    (expected,) = (tmp_path / 'out/vis').iterdir()
    assert np.array_equal(cv2.imread(picture), cv2.imread(str(expected)))
    if task in ('classify', 'action'):
        best, *_ = shares['value']['confidences']
        assert text == f'{best["label"]} ({best["confidence"]:.1%})'
        assert Image.open(heat).height == app.HEIGHT
    else:
        assert heat is None
    served.weights[task].unlink()  # it is loaded once
    assert client.predict(dropped, 0, api_name=f'/{task}')[0] == text


def test_a_broken_file_gets_a_message(client, images, clip, tmp_path) -> None:
    """That of the tools; the next file is answered."""
    for task, file, said in (
        ('segment', images / '12.png', 'broken.png: damaged '),
        ('action', clip, 'broken.mp4: '),
    ):
        broken = tmp_path / f'broken{file.suffix}'
        broken.write_bytes(file.read_bytes()[:60])
        with pytest.raises(gradio_client.exceptions.AppError, match=said):
            client.predict(gradio_client.handle_file(broken), 0, api_name=f'/{task}')
    assert client.predict(gradio_client.handle_file(images / '7.jpg'), 0, api_name='/segment')[0]


def test_limits(served) -> None:
    """Of the size of files, of who may ask, and of whom a browser may ask."""
    upload = f'{served.address}gradio_api/upload'
    for size, status in ((2**20 - 1, 200), (2**20 + 1, 413)):
        assert httpx.post(upload, files=dict(files=bytes(size))).status_code == status
    answer = httpx.get(served.address)
    assert answer.headers['content-security-policy'].startswith("default-src 'self' ")
    url = httpx.URL(served.address)
    assert url.host == '127.0.0.1'
    # Another address of this machine, on which a server for all would answer.
    with socket.socket() as other:
        assert other.connect_ex(('127.0.0.2', url.port)) != 0


def test_demos_that_are_not_there(tmp_path) -> None:
    """Their tabs say what makes them."""
    page = app.build_page(app.find_demos(tmp_path)).get_config_file()
    said = [part['props'].get('value') for part in page['components']]
    for name, command in (
        ('det/detector.pth', 'make demo-det'),
        ('cls/classifier.pth', 'make demo'),
    ):
        assert (
            f'There is no trained model yet: `{command}` makes '
            f'{tmp_path}/work_dirs/demo/{name}.' in said
        )


def test_demos(random_weights, tmp_path) -> None:
    """As tools/demo/run.py leaves them."""
    weights = tmp_path / 'work_dirs/demo/video/recognizer.pth'
    weights.parent.mkdir(parents=True)
    (tmp_path / 'configs').symlink_to(REPO / 'configs')
    shutil.copy(random_weights(CONFIGS / f'{TASKS["action"][0]}.py'), weights)
    *_, tab = app.find_demos(tmp_path)
    assert tab.title == 'Action'
    assert tab.content.args.checkpoint == str(weights)
    assert tab.content.args.classes == tmp_path / 'data/mini/kinetics/label_map.txt'


def test_errors(run_main, random_weights, monkeypatch, tmp_path, capsys) -> None:
    config = CONFIGS / f'{TASKS["classify"][0]}.py'
    weights = random_weights(config)
    missing = tmp_path / 'nothing.pth'
    assert f'There is no checkpoint {missing}' in run_main(
        'tools/app.py', '--model', config, missing
    )
    assert run_main('tools/app.py', '--model') == 2
    assert run_main('tools/app.py', '--model', config, weights, '--boxes', 'a') == 2
    assert 'unrecognized arguments: --boxes a' in capsys.readouterr().err
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        said = run_main('tools/app.py', '--port', port, '--model', config, weights)
    assert said.startswith(f'error: 127.0.0.1 has no free port {port} ')
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert run_main('tools/app.py') == (
        "error: The page needs gradio: pip install 'uniformer-mm[app]'"
    )


@needs_browser
def test_in_a_browser(served, images, tmp_path) -> None:
    """A photograph is dropped, its result is seen, and so is what is wrong with a broken one."""
    playwright = pytest.importorskip('playwright.sync_api')
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    asked, errors = [], []
    with open_page(served.address, asked, errors) as page:
        playwright.expect(page.get_by_role('tab')).to_have_text([*TASKS])
        panel = page.get_by_role('tabpanel').filter(visible=True)
        found, file = panel.get_by_label('Found'), panel.locator('input[type=file]')
        file.set_input_files(images / '7.jpg')
        playwright.expect(found).to_have_value(re.compile(r'class \d \(\d+\.\d%\)'))
        # The photograph, with the class, with heat.
        playwright.expect(panel.locator('img')).to_have_count(3)
        panel.get_by_label('Remove Image').click()
        playwright.expect(found).to_have_value('')
        file.set_input_files(broken)
        playwright.expect(page.get_by_text('broken.jpg: damaged, or no image')).to_be_visible()
    assert not errors
    assert {httpx.URL(url).host for url in asked} == {'127.0.0.1'}
