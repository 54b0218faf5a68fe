"""What docs/own_data.md tells to write and type, on small sets of real photographs, elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from own_data import IMAGES, PAGE, PAGE_CONFIGS, TASKS, Task, short_run, write_project
from PIL import Image


@pytest.fixture
def train(tmp_path, monkeypatch, run_main) -> Callable[..., object]:
    """Train in a folder of its own by the config of a section; gives what the tool exits with."""

    def run(task: Task, change: Callable[[str], str] = str, damage: Callable = list) -> object:
        monkeypatch.chdir(tmp_path)
        write_project(task, tmp_path, change)
        damage()
        arguments = (f'{task.config}.py', '--auto-scale-lr', '--amp', 'off')
        options = [*short_run(task), f'experiment_name={tmp_path.name}']  # a log of its own
        return run_main('tools/train.py', *arguments, '--cfg-options', *options)

    return run


@pytest.mark.parametrize('task', TASKS.values(), ids=TASKS)
def test_config_of_the_page_trains(task, train, run_main, tmp_path) -> None:
    assert len(PAGE_CONFIGS[task.config].splitlines()) < 20
    assert train(task) == 0
    work_dir = tmp_path / 'work_dirs' / task.config
    assert list(work_dir.glob('*.pth'))
    if task.config in (command := re.search(r'tools/test.py (.*)', PAGE)[1]):
        words = command.replace('epoch_30', 'epoch_1').split()
        assert run_main('tools/test.py', *words, '--cfg-options', *short_run(task)) == 0
        assert len(list((work_dir / 'pictures').rglob('*.png'))) == IMAGES['val']


class Mistake(NamedTuple):
    """What a row of a table says that somebody did.

    Attributes:
        old: What the config of the page has.
        new: What stands there instead.
        damage: What is done to the data.
    """

    old: str = ''
    new: str = ''
    damage: Callable[[], Any] = list


def every(pattern: str, change: Callable[[Path], Any]) -> Callable[[], list]:
    """Change each file of the data."""
    return lambda: [change(path) for path in sorted(Path('data').glob(pattern))]


def in_json(**changes: Any) -> Callable[[Path], Any]:
    """Change entries of all images and annotations of a file; None takes one out."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        for entry in [*content['images'], *content['annotations']]:
            for key, value in changes.items():
                if key in entry and value is None:
                    del entry[key]
                elif key in entry:
                    entry[key] = value
        path.write_text(json.dumps(content))

    return change


def in_picture(change: Callable[[Image.Image], Image.Image]) -> Callable[[Path], Any]:
    return lambda path: change(Image.open(path)).save(path)


def in_text(old: str, new: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(path.read_text().replace(old, new))


MISTAKES = dict(
    flowers=[
        Mistake('num_classes = 5', 'num_classes = 4'),
        Mistake(damage=every('flowers/val/a', lambda path: path.rename(path.with_name('f')))),
        Mistake(damage=every('flowers/train/*/[1-9]?.jpg', Path.unlink)),
        Mistake("    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),\n"),
        Mistake(damage=every('flowers/train/a/*', lambda p: p.write_bytes(p.read_bytes()[:300]))),
    ],
    parts=[
        Mistake("'nut'", "'nuts'"),
        Mistake("('bolt', 'nut')", "('bolt')"),
        Mistake('model = dict(roi_head=dict(bbox_head=head, mask_head=head))'),
        Mistake("ann_file='data/parts/annotations/instances_val2017.json'"),
        Mistake(damage=every('parts/annotations/*', in_json(width=50))),
    ],
    fields=[
        Mistake('model = dict(decode_head=dict(num_classes=2))'),
        Mistake(damage=every('fields/annotations/*/*', in_picture(lambda p: p.convert('RGB')))),
        Mistake(
            damage=every(
                'fields/annotations/*/*',
                in_picture(lambda p: Image.fromarray(np.asarray(p) + np.uint8(1))),
            )
        ),
        Mistake(damage=every('fields/annotations/*/*', in_picture(lambda p: p.resize((40, 40))))),
        Mistake(damage=every('fields/images/*/*', lambda p: p.rename(p.with_suffix('.jpeg')))),
    ],
    workers=[
        Mistake("ann_file='data/workers/annotations/person_keypoints_val2017.json'"),
        Mistake(', bbox_file=None'),
        Mistake(damage=every('workers/annotations/*', in_json(keypoints=[20, 20, 2] * 14))),
        Mistake(damage=every('workers/annotations/*', in_json(bbox=None))),
        Mistake(damage=every('workers/train2017', lambda p: p.rename(p.with_name('images')))),
    ],
    horses=[
        Mistake('model = dict(head=dict(out_channels=5))'),
        Mistake('dataset=dict(files,', "dataset=dict(data_root='data/horses/',"),
        Mistake("'horse.py'", "'horsy.py'"),
        Mistake(damage=lambda: in_text("swap='right_ear'", "swap='nose'")(Path('horse.py'))),
        Mistake(damage=lambda: in_text('[0.05] * 5', '[0.05] * 4')(Path('horse.py'))),
    ],
    gestures=[
        Mistake(damage=every('gestures/*.txt', in_text(' 4', ' 5'))),
        Mistake('data_preprocessor=dict(blending=dict(num_classes=num_classes)),'),
        Mistake(damage=every('gestures/*.txt', in_text(' ', ','))),
        Mistake(damage=every('gestures/train.txt', in_text('.mp4', '.avi'))),
        Mistake(damage=every('gestures/train.txt', lambda p: p.write_text(p.read_text()[:13]))),
    ],
)


def messages_of(name: str) -> list[str]:
    """The right column of the table behind a config."""
    table = PAGE.partition(f'# {name}.py\n')[2].partition('| mistake |')[2].partition('\n\n')[0]
    return re.findall(r'\| `(.*)` \|$', table, re.MULTILINE)


def rows() -> Iterator[Any]:
    for name, mistakes in MISTAKES.items():
        for number, (mistake, message) in enumerate(
            zip(mistakes, messages_of(name), strict=True), 1
        ):
            yield pytest.param(name, mistake, message, id=f'{name}-{number}')


@pytest.mark.parametrize(('name', 'mistake', 'message'), rows())
def test_the_tool_says_what_the_page_says(name, mistake, message, train) -> None:
    assert mistake.old in PAGE_CONFIGS[name]
    answer = train(TASKS[name], lambda text: text.replace(*mistake[:2], 1), mistake.damage)
    logs = [file.read_text() for file in Path('work_dirs').rglob('*.log')]
    said = ' '.join(' '.join((*logs, str(answer))).split())
    expected = '.*'.join(map(re.escape, message.split('...')))
    assert re.search(expected, said), said[-2000:]
