"""Damaged input: what the tools do about files that are broken, odd, missing or contradictory.

Small data of every kind is made once. Each trial copies what one tool reads, damages files of it
with random numbers of its own, and runs the tool, which may refuse in one line or go on. Whole
files of a folder must have their results, and what is cut off may not pass without a word.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from forked import REPO, run_forked
from PIL import Image
from table import Outcome, judge

COUNT = 660
TIMEOUT = 120
CONFIGS = dict(
    cls='uniformer-mini_1xb32_digits',
    light='uniformer-light-mini_1xb32_digits',
    tokens='uniformer-mini_token-label_1xb32_digits',
    coco='mask-rcnn_uniformer-mini-h_fpn_coco-digits',
    ade='uniformer-mini-g_fpn_ade20k-digits',
    pose='td-hm_uniformer-mini_coco-people',
    kinetics='uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb',
    something='uniformer-mini_u16_1xb8_sthv2-digits-rgb',
)
TEST = ('--cfg-options', *(f'{split}_dataloader.num_workers=0' for split in ('val', 'test')))
TRAIN = (
    '--no-validate',
    '--cfg-options',
    *('train_dataloader.num_workers=0', 'train_dataloader.batch_size=2'),
    *(f'default_hooks.checkpoint.{key}' for key in ('interval=-1', 'save_last=False')),
    *('default_hooks.checkpoint.save_best=None', 'model.backbone.init_cfg=None'),
)
EPOCH, STEP = 'train_cfg.max_epochs=1', 'train_cfg.max_iters=1'
ROUND = 'train_dataloader.sampler.round_to=2'
PICTURE = ('cut', 'flip', 'empty', 'text', 'folder', 'link', 'zeros', 'odd', 'odd', 'bomb')
CLIP = ('cut', 'flip', 'empty', 'text', 'folder', 'link', 'zeros', 'audio')
LIST = ('lines', 'lines', 'lines', 'cut', 'flip', 'empty', 'bytes')
JSON = ('json',) * 8 + ('cut', 'flip', 'empty')


# Formatting the config for the log takes longer than the rest of most runs.
WRAPPER = """
import runpy, sys
from mmengine.config import Config
Config.pretty_text = property(lambda self: '')
del sys.argv[0]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


class Subject(NamedTuple):
    """A tool, and which of its files are damaged how.

    Attributes:
        tool: Its path below tools.
        config: A name of ``CONFIGS``.
        args: What follows the config; ``WEIGHTS`` stands for its weights.
        damages: Kinds of damage by patterns of files.
        good: The result of a file that stays whole.
    """

    tool: str
    config: str
    args: tuple[str, ...]
    damages: dict[str, tuple[str, ...]]
    good: str = ''


FOLDER = ('WEIGHTS', 'images', '--out-dir', 'out')
IMAGE = {'images/1.jpg': PICTURE}
SUBJECTS = {
    'detect': Subject('inference/detect', 'coco', FOLDER, IMAGE, 'vis/0.jpg'),
    'segment': Subject('inference/segment', 'ade', FOLDER, IMAGE, 'vis/0.jpg'),
    'pose': Subject('inference/pose', 'pose', FOLDER, IMAGE, 'vis/0.jpg'),
    'kept tokens': Subject('visualization/kept_tokens', 'light', FOLDER, IMAGE, '0.png'),
    'label maps': Subject(
        'data/make_label_maps',
        'cls',
        ('WEIGHTS', 'images', 'out', '--size=64', '--workers=0'),
        IMAGE,
        '0.pt',
    ),
    'boxes': Subject(
        'inference/pose', 'pose', (*FOLDER, '--boxes', 'boxes.json'), {'boxes.json': JSON}
    ),
    'segment video': Subject(
        'inference/segment',
        'ade',
        ('WEIGHTS', 'clips', *FOLDER[2:]),
        {'clips/1.mp4': CLIP},
        'vis/0.mp4',
    ),
    'classify video': Subject(
        'inference/classify_video',
        'kinetics',
        ('WEIGHTS', 'clips', *FOLDER[2:]),
        {'clips/1.mp4': CLIP},
        '0.mp4.png',
    ),
    'train classifier': Subject(
        'train', 'cls', (*TRAIN, EPOCH, ROUND), {'imagenet/train/*/*': PICTURE}
    ),
    'train tokens': Subject(
        'train', 'tokens', (*TRAIN, EPOCH), {'label_maps/*/*': ('cut', 'flip', 'empty', 'text')}
    ),
    'train detector': Subject('train', 'coco', (*TRAIN, EPOCH), {'*/*/instances_train*': JSON}),
    'test detector': Subject(
        'test', 'coco', ('WEIGHTS', *TEST), {'*/*/instances_val*': JSON, '*/val2017/*': PICTURE}
    ),
    'train pose': Subject('train', 'pose', (*TRAIN, EPOCH), {'*/*/person_keypoints_train*': JSON}),
    'test pose': Subject(
        'test',
        'pose',
        ('WEIGHTS', *TEST),
        {'*/*/person_keypoints_val*': JSON, '*/person_*/*': JSON},
    ),
    'train segmentor': Subject(
        'train',
        'ade',
        (*TRAIN, STEP),
        {'*/annotations/training/*': PICTURE, '*/images/training/*': PICTURE},
    ),
    'train video': Subject(
        'train',
        'kinetics',
        (*TRAIN, EPOCH),
        {'*/kinetics400_train*': LIST, '*/videos_train/*': CLIP},
    ),
    'test frames': Subject(
        'test', 'something', ('WEIGHTS', *TEST), {'*/sthv2_val*': LIST, '*/rawframes/5/*': PICTURE}
    ),
    'draw': Subject(
        'visualization/draw',
        'cls',
        ('predictions.pkl', 'out/picture.png'),
        {'predictions.pkl': ('cut', 'flip', 'zeros', 'empty', 'text', 'gadget')},
    ),
}


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """As many trials as asked for, all subjects and kinds of damage in turn."""
    plan = [
        (name, pattern, kind)
        for name, subject in SUBJECTS.items()
        for pattern, kinds in subject.damages.items()
        for kind in kinds
    ]
    np.random.default_rng(seed).shuffle(plan)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root)
        for number in range(count or COUNT):
            name, pattern, kind = plan[number % len(plan)]
            yield try_one(root, name, pattern, kind, np.random.default_rng([seed, number]))


def try_one(root: Path, name: str, pattern: str, kind: str, rng: np.random.Generator) -> Outcome:
    """Damage one copy of the data and let the tool read it."""
    subject = SUBJECTS[name]
    work = root / 'work'
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(root / 'data' / subject.config, work)
    files = sorted(path for base in (work, work / 'data/mini') for path in base.glob(pattern))
    done = damage(files[rng.integers(len(files))], kind, rng)
    weights = root / f'weights/{subject.config}.pth'
    args = [str(weights) if arg == 'WEIGHTS' else arg for arg in subject.args]
    config = root / f'configs/{subject.config}.py'
    trial = f'{name}: {kind}: {done}'
    try:
        script = REPO / f'tools/{subject.tool}.py'
        ended = run_forked(root / 'run.py', script, config, *args, cwd=work, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return Outcome('damage', trial, 'harm', 'hangs')
    verdict, said = judge(ended)
    if (
        verdict in ('fine', 'one line')
        and subject.good
        and not (work / 'out' / subject.good).exists()
    ):
        return Outcome('damage', trial, 'harm', f'no {subject.good}: {said}')
    words = ended.stdout + ended.stderr
    is_silent = not ('cut off' in words or 'left out' in words)
    is_plain = subject.good and kind not in ('flip', 'zeros', 'odd')
    if is_plain and verdict == 'fine' and is_silent:
        return Outcome('damage', trial, 'harm', 'taken without a word')
    if Path(work, 'ran').exists():
        return Outcome('damage', trial, 'harm', 'code of the file ran')
    return Outcome('damage', trial, verdict, said)


def damage(path: Path, kind: str, rng: np.random.Generator) -> str:
    """Damage a file; returns what was done."""
    content = path.read_bytes()
    if kind == 'json':
        return damage_json(path, rng)
    path.unlink()
    if kind == 'cut':
        size = int(len(content) * rng.uniform(0.02, 0.95))
        path.write_bytes(content[:size])
        return f'cut to {size} of {len(content)}'
    if kind in ('flip', 'zeros'):
        data, count = bytearray(content), int(rng.integers(1, 40))
        place = int(rng.integers(len(data)))
        if kind == 'zeros':
            data[place : place + 10 * count] = bytes(len(data[place : place + 10 * count]))
        else:
            for at in rng.integers(len(data), size=count):
                data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        return f'{kind} {count} from {place}'
    if kind in ('folder', 'link'):
        path.mkdir() if kind == 'folder' else path.symlink_to('nowhere')
    elif kind == 'odd':
        return write_odd_picture(path, rng)
    elif kind == 'bomb':
        write_bomb(path)
    elif kind == 'audio':
        write_audio(path)
    elif kind == 'lines':
        return damage_lines(path, content.decode(), rng)
    elif kind == 'gadget':
        path.write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
    else:
        path.write_bytes(dict(empty=b'', text=b'no image\n', bytes=b'\xff\xfe\x00')[kind])
    return kind


def write_odd_picture(path: Path, rng: np.random.Generator) -> str:
    """A whole picture of an unusual kind or size."""
    sizes = ((1, 1), (1, 300), (400, 1), (7, 5), (90, 70))
    size = sizes[rng.integers(len(sizes))]
    mode = ('RGB', 'L', 'CMYK', 'RGBA', 'I;16', 'P', '1', 'LA')[rng.integers(8)]
    kind = 'JPEG' if mode in ('RGB', 'L', 'CMYK') else 'PNG'
    image = Image.new(mode, size)
    more = dict(save_all=True, append_images=[image]) if kind == 'PNG' and mode == 'RGBA' else {}
    image.save(path, kind, **more)
    return f'{mode} of {size[0]} x {size[1]}'


def write_bomb(path: Path) -> None:
    """A PNG of some bytes that claims 30,000 x 30,000 pixels."""
    header = b'IHDR' + struct.pack('>IIBBBBB', 30000, 30000, 8, 0, 0, 0, 0)
    chunks = (header, b'IDAT' + zlib.compress(bytes(1000)), b'IEND')
    content = [struct.pack('>I', len(c) - 4) + c + struct.pack('>I', zlib.crc32(c)) for c in chunks]
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(content))


def write_audio(path: Path) -> None:
    """A film without pictures."""
    import av

    with av.open(str(path), 'w', format='mp4') as container:
        stream = container.add_stream('aac', rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])


def damage_lines(path: Path, text: str, rng: np.random.Generator) -> str:
    """Change a column of a line of a list."""
    lines = [line.split(' ') for line in text.splitlines()]
    line = lines[rng.integers(len(lines))]
    column = int(rng.integers(len(line)))
    value = ('-1', '0', '99', 'nan', '', '1e9', '../x', 'ü', '-5', '3.5')[rng.integers(10)]
    line[column : column + 1] = [value] if rng.random() < 0.8 else []
    path.write_text('\n'.join(map(' '.join, lines)) + '\n')
    return f'a line {" ".join(line)!r}'


VALUES = (
    *(None, '', 'x', -1, 0, 3.5, 10**12, -(10**12), 1e30, math.nan, math.inf, True),
    *([], {}, [1], [1, 2, 3], [1, 2, 3, 4], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [None] * 4),
    *({'counts': [9], 'size': [3, 3]}, {'counts': 'zz9', 'size': [70, 90]}, {'size': [1, 1]}),
    {'counts': [10**9], 'size': [128, 160]},
)


def damage_json(path: Path, rng: np.random.Generator) -> str:
    """Replace or delete some entry; those of annotations more often than others."""
    content = json.loads(path.read_text())
    parts = [key for key in ('annotations', 'images', 'categories') if key in content]
    key = rng.choice(parts, p=(0.7, 0.2, 0.1)) if parts else None
    chosen = content if key is None else content[str(key)]
    done = []
    for _ in range(int(rng.integers(1, 4))):
        node, trail = chosen, [str(key)]
        if rng.random() < 0.03:
            node = [content]
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            place = keys[int(rng.integers(len(keys)))]
            trail.append(place)
            inner = node[place]
            if not inner or not isinstance(inner, dict | list) or rng.random() < 0.3 * bool(done):
                break
            node = inner
            if isinstance(node, list) and rng.random() < 0.3 and len(trail) > 2:
                place = int(rng.integers(len(node)))
                trail.append(place)
                break
        if rng.random() < 0.25:
            del node[place]
            done.append(f'{trail} deleted')
        else:
            node[place] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
            done.append(f'{trail} = {node[place]}')
        if not chosen:
            break
    path.write_text(json.dumps(content))
    return ', '.join(done)


def make_data(root: Path) -> None:
    """Data of every kind, with a folder for each config, and random weights."""
    import make_mini
    from mini.clips import write_video
    from mmengine.config import Config
    from paper_configs import build
    from small_data import make_label_maps, moving_bar

    rng = np.random.default_rng(0)
    (root / 'run.py').write_text(WRAPPER)
    (root / 'weights').mkdir()
    (root / 'configs').mkdir()
    for name, config in CONFIGS.items():
        work = root / 'data' / name
        data = dict(cls='imagenet', light='imagenet', tokens='imagenet').get(name, name)
        make_mini.make(data, work / 'data/mini', counts=dict(train=4, val=4))
        (work / 'images').mkdir()
        for number in range(3):
            pixels = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(work / f'images/{number}.jpg')
            write_video(work / f'clips/{number}.mp4', moving_bar(6, (64, 64)))
        people = [dict(image_id=i, category_id=1, bbox=[5, 5, 60, 50], score=0.9) for i in range(3)]
        (work / 'boxes.json').write_text(json.dumps(people))
        sample = dict(pred_score=torch.rand(10), pred_label=1, gt_label=2)
        samples = [dict(sample, img_path=f'images/{number}.jpg') for number in range(3)]
        (work / 'predictions.pkl').write_bytes(pickle.dumps(samples, 2))
        if name == 'tokens':
            make_label_maps(work / 'data/mini/imagenet/train', work / 'data/mini/label_maps', 10)
        cfg = Config.fromfile(REPO / f'configs/mini/{config}.py')
        cfg.model.backbone.init_cfg = None
        cfg.dump(root / f'configs/{name}.py')  # whole: bases of other libraries take long to find
        state = build(cfg.model, cfg.default_scope).state_dict()
        torch.save(dict(state_dict=state), root / f'weights/{name}.pth')
