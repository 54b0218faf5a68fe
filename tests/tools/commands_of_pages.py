"""Every command of the pages runs, unless its page says that it needs what no test has.

Stand-ins take the place of what is the reader's: small configs with random weights, few of the
built-in samples, one epoch. Commands of one kind run once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import cv2
import make_mini
import mini
import own_data
import pytest
import run as demo
import torch
from mini.clips import write_video
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from page_commands import PAGES, REPO, as_python, commands
from small_data import moving_bar
from weight_layouts import CLASSIFIER, LIGHT, heads

from uniformer_mm import UniFormer, UniFormer3D, UniFormerLight
from uniformer_mm.analysis import timing

gradio = pytest.importorskip('gradio')
uvicorn = pytest.importorskip('uvicorn')
sys.path.append(str(REPO / 'tools/docs'))
import hooks  # noqa: E402

TARGETS = re.findall(r'^([a-z][a-z-]*):', (REPO / 'Makefile').read_text(), re.MULTILINE)
# What prepares a command, and the rest of one.
SHELL = {'cd', 'export', 'find', 'ln', 'source', '--cfg-options'}
# A page names these needs for the reader; a test has stand-ins.
HERE = re.compile(r'make demo.*|the built-in data|weights')
COUNTS = dict(
    imagenet=dict(train=32, val=41),
    coco=dict(train=4, val=3),
    ade=dict(train=6, val=3),
    pose=dict(train=6, val=8),
    kinetics=dict(train=8, val=4),
)
LIGHT_NAME = 'uniformer-light-mini_1xb32_digits'
CONFIGS = {name: part.config for name, part in demo.DEMOS.items()}
CONFIGS['light'] = f'configs/mini/{LIGHT_NAME}.py'
# Where the pages have them.
WEIGHTS = {name: f'work_dirs/demo/{name}/{part.weights}.pth' for name, part in demo.DEMOS.items()}
WEIGHTS['light'] = f'work_dirs/{LIGHT_NAME}/epoch_16.pth'
BATCHES = dict(cls=32, det=2, seg=2, pose=4, video=4)
# What a command is for, unless it is for classifiers.
KINDS = dict(
    light=r'kept_tokens',
    video=r'classify_video|benchmark_data|Decord|recognizer|video\.onnx|kinetics-'
    r'|mmaction/\.mim|--shape( \d+){3}',
    pose=r'pose\.py|pose\.onnx|td-hm',
    seg=r'segment\.py|ade20k|fixed\.onnx',  # whose images have any size in a test
    det=r'detect\.py|detector\.onnx|mask-rcnn',
)
PHOTO, FILM = 'photo.jpg', 'film.mp4'
EXPORT = 'tools/deploy/export.py'
PARSED = 'parsed'


def excuse(words: Sequence[str]) -> list[str]:
    """What a command needs that no test has."""
    return [need for need in hooks.needs_of(' '.join(words)) if not HERE.fullmatch(need)]


def kind_of(words: Sequence[str]) -> str:
    command = ' '.join(words)
    return next((kind for kind, sign in KINDS.items() if re.search(sign, command)), 'cls')


def shape_of(words: Sequence[str]) -> tuple[str, ...]:
    """The same for commands that differ in the names of files alone."""
    start, args = words[:2], [re.sub(r'^\w+_(?=C[A-Z]+$)', '', word) for word in words[2:]]
    if 'convert' not in start[-1]:  # to which names tell the network
        args = [re.sub(r'^\w[^=,]*(\.\w+)$', r'\1', word) for word in args]
    if EXPORT in start:
        args[:2] = '.py', '.pth'
    return kind_of(words), *start, *args


@pytest.fixture(scope='module')
def stock(random_weights, tmp_path_factory) -> Path:
    """What the pages take for granted, in a folder."""
    folder = tmp_path_factory.mktemp('stock')
    for name, counts in COUNTS.items():
        make_mini.make(name, folder / 'data/mini', counts=counts)
    (folder / 'data/imagenet').symlink_to('mini/imagenet')
    for kind, weights in WEIGHTS.items():
        (folder / weights).parent.mkdir(parents=True)
        (folder / weights).symlink_to(random_weights(REPO / CONFIGS[kind]))
    (folder / 'configs').symlink_to(REPO / 'configs')
    (folder / 'work_dirs/run').mkdir()
    trained = torch.load(folder / WEIGHTS['cls']) | dict(meta=dict(head_dim=32))
    torch.save(trained, folder / 'work_dirs/run/epoch_300.pth')
    images = UniFormer('mini', **CLASSIFIER).state_dict() | heads('head', channels=256)
    # Of head_dim 28, as the name tells.
    sizes = {**LIGHT, 'embed_dims': (28, 56, 56, 112), 'head_dim': 28}
    light = UniFormerLight(sizes, **CLASSIFIER).state_dict()
    clips = UniFormer3D('mini', **CLASSIFIER).state_dict()
    pose = torch.load(random_weights(REPO / CONFIGS['pose']))['state_dict']
    for name, state in dict(
        uniformer_small_in1k=images,
        uniformer_xxs_128_in1k=light | heads('head', 'norm_cls', 'head_cls', channels=112),
        uniformer_small_k400_16x8=clips | heads('head', num_classes=400, channels=256),
        uniformer_small_k400_16x4=clips | heads('head', num_classes=400, channels=256),
        uniformer_small_sthv1_16_prek400=clips | heads('head', num_classes=174, channels=256),
        top_down_256x192_global_small={k.replace('head', 'keypoint_head'): pose[k] for k in pose},
    ).items():
        torch.save(state, folder / f'{name}.pth')
    dual = REPO / 'configs/mini/dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
    (folder / 'dualformer_tiny_patch244_window877.pth').symlink_to(random_weights(dual))
    write_video(folder / FILM, moving_bar(8, (64, 80)))
    photo = shutil.copy(next((folder / 'data/mini/pose/val2017').iterdir()), folder / PHOTO)
    sample = dict(img_path=str(photo), gt_label=0, pred_label=0, pred_score=torch.eye(10)[0])
    (folder / 'predictions.pkl').write_bytes(pickle.dumps([sample]))
    (folder / 'folder').mkdir()
    shutil.copy(photo, folder / 'folder/1.jpg')
    (folder / 'boxes').mkdir()
    boxes = dict(bboxes=[[5, 5, 60, 60]], labels=[0], scores=[0.9])
    (folder / 'boxes/1.json').write_text(json.dumps(boxes))
    return folder


@pytest.fixture(scope='module')
def seen() -> set[tuple[str, ...]]:
    """What has run."""
    return set()


@pytest.fixture
def run(stock, run_main, tmp_path, monkeypatch) -> Callable[[list[str]], object]:
    """A function that runs a command in a folder with the stock; gives what it exits with."""
    for entry in stock.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    for name in ('data', 'work_dirs'):  # in which commands write
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
        for entry in (stock / name).iterdir():
            (tmp_path / name / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    few = {name: (write, COUNTS.get(name, {})) for name, (write, _) in mini.DATA.items()}
    monkeypatch.setattr(mini, 'DATA', few)
    monkeypatch.setattr(gradio.Blocks, 'block_thread', lambda page: page.close())
    # It closes the handlers of others, of which absl's closes the standard error.
    monkeypatch.setattr(uvicorn.Config, 'configure_logging', lambda config: None)
    film, open_film = str(stock / FILM), cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', lambda source: open_film(source or film))
    timed = timing.measure_times
    monkeypatch.setattr(timing, 'measure_times', lambda runs, rounds: timed(runs, 1))
    # Memory is measured in this process.
    here = SimpleNamespace(Pool=ThreadPool)
    monkeypatch.setattr(multiprocessing, 'get_context', lambda kind: here)

    def run(words: list[str]) -> object:
        if words[0] == 'make':
            words = [re.sub('(PYTHON|VENV)=.*', f'PYTHON={sys.executable}', word) for word in words]
            return subprocess.run(['make', '--dry-run', *words[1:]], cwd=REPO).returncode
        if words[1] == '-c':
            Path('line.py').write_text(words[2])
            words = ['python', str(Path('line.py').absolute()), *words[3:]]
        kind, (tool, *args) = kind_of(words), as_python(words) or words[1:]
        for word in args if 'predict' in tool else ():
            if word.endswith('.onnx') and not Path(word).exists():
                assert run(['python', EXPORT, 'CONFIG', 'CHECKPOINT', word]) == 0
        args = shorten(tool, [*fill_in(tool, args, kind)], kind)
        # The commands of a page are often alternatives, and none replaces a result of another.
        for option, word in pairwise(args):
            if option in ('--out', '--out-dir'):
                shutil.rmtree(word, ignore_errors=True)
        if tool == EXPORT:
            Path(args[2]).unlink(missing_ok=True)
        # What the command before has left of its library.
        DefaultScope._instance_dict.clear()
        with monkeypatch.context() as patch:
            patch.setattr(MMLogger, '_instance_dict', type(MMLogger._instance_dict)())
            patch.syspath_prepend((REPO / tool).parent)
            found = run_main(tool, *args)
        if tool == EXPORT and 'sized_' not in args[2]:
            shutil.copy(args[2], stock)  # for other pages
        return found

    return run


def fill_in(tool: str, args: Sequence[str], kind: str) -> Iterator[str]:
    """Arguments with what is there in the place of what is the reader's."""
    runs, option = tool in ('tools/train.py', 'tools/test.py'), ''
    for word in args:
        option = word if word.startswith('--') else option
        kind = 'det' if option == '--detector' else kind
        of, path = dict(DET='det', POSE='pose').get(word.partition('_')[0], kind), Path(word)
        if runs and path.stem in own_data.TASKS:
            own_data.write_project(own_data.TASKS[path.stem], Path.cwd())
        elif re.fullmatch(r'(\w+_)?CONFIG|configs/(?!mini/).*|\w+\.py', word):
            word = CONFIGS[of]
        elif runs and re.fullmatch(r'.*/epoch_\d+\.pth', word):
            folder = path.parent if path.parent.is_dir() else f'work_dirs/{Path(CONFIGS[of]).stem}'
            word = f'{folder}/epoch_1.pth'
        elif re.fullmatch(r'(\w+_)?CHECKPOINT', word) or (
            path.suffix == '.pth' and not path.exists() and 'convert' not in tool
        ):
            word = WEIGHTS[of]
        elif path.suffix in ('.jpg', '.mp4') and not path.exists():
            shutil.copy(PHOTO if path.suffix == '.jpg' else FILM, path)
        elif option == '--boxes' and word != option:
            word = 'boxes'
        elif word == 'names.txt':
            path.write_text('\n'.join('0123456789' if kind == 'cls' else 'abcd'))
        elif option in ('--shape', '--sides', '--size') and 'get_flops' not in tool:
            word = re.sub(r'^\d{3,}$', lambda number: str(int(number[0]) // 7 // 32 * 32), word)
        elif option == '--port' and word.isdigit():
            with socket.create_server(('127.0.0.1', 0)) as free:
                word = str(free.getsockname()[1])
        elif option == '--arch':
            word = {'small': 'mini', 'dualformer-tiny': 'dualformer-mini'}.get(word, word)
        elif tool == EXPORT and '--size' in args and path.suffix:
            word = f'sized_{word}'  # for the pictures of a size alone
        word = re.sub('=(DIR|/data/imagenet)$', '=data/imagenet', word)
        yield word.replace('=FILE', f'={WEIGHTS[kind]}')


def shorten(tool: str, args: list[str], kind: str) -> list[str]:
    """Arguments of a short run."""
    if 'benchmark_data' in tool:
        return [*args, '--samples', '1', '--rounds', '1']
    if 'benchmark' in tool and '--shape' not in args:
        return [*args, '--shape', '64', '64']
    if 'resolution' in tool:
        return [*args, '--arch', 'mini']
    if tool == EXPORT and kind == 'det':
        return [*args, '--cfg-options', 'model.test_cfg.rpn.nms_pre=50']
    if tool not in ('tools/train.py', 'tools/test.py'):
        return args
    split = args.index('--cfg-options') if '--cfg-options' in args else len(args)
    head, options, name = args[:split], args[split + 1 :], Path(args[0]).stem
    if name in own_data.TASKS:
        few = own_data.short_run(own_data.TASKS[name])
        head += ['--amp', 'off'] if tool == 'tools/train.py' else []
    else:
        length = (
            f'train_cfg.max_{"iters" if kind == "seg" else "epochs"}={1 + ("--resume" in args)}'
        )
        few = [*own_data.LOADERS.split(), f'train_dataloader.batch_size={BATCHES[kind]}', length]
        few += ['train_cfg.val_interval=1', 'default_hooks.checkpoint.interval=1']
        if tool == 'tools/train.py' and '--resume' not in args and Path('work_dirs', name).exists():
            head += ['--work-dir', tempfile.mkdtemp(dir='work_dirs')]
    return [*head, '--cfg-options', *few, *options]


def parse(words: list[str], run_main: Callable, patch: pytest.MonkeyPatch) -> None:
    """See that a tool takes its arguments."""
    parse_args = argparse.ArgumentParser.parse_args

    def only_parse(self, *args, **kwargs):
        parse_args(self, *args, **kwargs)
        raise SystemExit(PARSED)

    if command := as_python(words):
        patch.setattr(argparse.ArgumentParser, 'parse_args', only_parse)
        patch.syspath_prepend((REPO / command[0]).parent)
        assert run_main(*command) == PARSED, words
    else:
        assert words[0] in ('.venv/bin/pip', 'git', 'make', 'pip'), words


@pytest.mark.parametrize(
    'page',
    [page for page in PAGES if any(commands(page))],
    ids=lambda page: str(page.relative_to(REPO)),
)
def test_commands_run(page, run, seen, run_main, monkeypatch, capsys) -> None:
    for words in commands(page, said=False):
        if words[0] == 'make':
            assert {word for word in words[1:] if '=' not in word} <= {*TARGETS}, words
        if excuse(words):
            with monkeypatch.context() as patch:
                parse(words, run_main, patch)
        elif words[0] not in SHELL and shape_of(words) not in seen:
            assert run(words) == 0, (words, capsys.readouterr().err)
            seen.add(shape_of(words))
