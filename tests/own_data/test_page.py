"""What docs/own_data.md tells to write and type, on small sets of real photographs, elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from photo_sets import make_clips, make_images, make_objects, make_poses, make_regions

PAGE = (Path(__file__).parents[2] / 'docs/own_data.md').read_text()
DIMS = '[16,32,32,64]'
TINY = f'model.backbone.depths=[1,1,1,1] model.backbone.embed_dims={DIMS} model.backbone.head_dim=16'
LOADERS = ' '.join(
    f'{split}_dataloader.{option}'
    for split in ('train', 'val', 'test')
    for option in ('num_workers=0', 'persistent_workers=False')
)


class Task(NamedTuple):
    """A section of the page.

    Attributes:
        config: Name of its config.
        data: Makes the data of the config's folder.
        sizes: Options that make the model and its inputs small, for 4 samples.
    """

    config: str
    data: Callable[[Path], None]
    sizes: str


TASKS = {
    task.config: task
    for task in (
        Task(
            'flowers',
            partial(make_images, classes='abcde'),
            'model.head.in_channels=64 train_dataloader.batch_size=10 train_cfg.max_epochs=1',
        ),
        Task(
            'parts',
            partial(make_objects, classes=('bolt', 'nut')),
            f'model.neck.in_channels={DIMS} model.roi_head.bbox_head.fc_out_channels=16 '
            'model.backbone.with_cp=False train_dataloader.dataset.pipeline.2.scale=[96,80] '
            'val_dataloader.dataset.pipeline.1.scale=[96,80] train_cfg.max_epochs=1',
        ),
        Task(
            'fields',
            partial(make_regions, num_classes=2),
            f'model.neck.in_channels={DIMS} train_cfg.max_iters=1 train_cfg.val_interval=1 '
            'train_dataloader.dataset.pipeline.2.scale=[96,80] '
            'train_dataloader.dataset.pipeline.3.crop_size=[64,64] '
            'val_dataloader.dataset.pipeline.1.scale=[96,80] model.data_preprocessor.size=[64,64]',
        ),
        *(
            Task(
                name,
                partial(make_poses, num_keypoints=count, category=category),
                'model.head.in_channels=64 train_cfg.max_epochs=1 train_cfg.val_interval=1 '
                'train_dataloader.batch_size=8',
            )
            for name, count, category in (('workers', 17, 'person'), ('horses', 20, 'horse'))
        ),
        Task(
            'gestures',
            partial(make_clips, num_classes=5),
            'model.cls_head.in_channels=64 train_cfg.max_epochs=1 '
            'train_dataloader.dataset.pipeline.1.clip_len=4 '
            'val_dataloader.dataset.pipeline.1.clip_len=4',
        ),
    )
}


def config_of(name: str) -> str:
    (text,) = re.findall(rf'```python\n# {name}\.py\n(.*?)```', PAGE, re.DOTALL)
    return text


@pytest.fixture
def start(tmp_path, monkeypatch, run_main) -> Callable[..., object]:
    """Write data and config of a section into a folder of its own, and train there."""

    def run(task: Task, change: Callable[[str], str] = str, *options: str) -> object:
        monkeypatch.chdir(tmp_path)
        text = config_of(task.config)
        task.data(tmp_path / re.search(r'data/\w+', text)[0])
        Path(f'{task.config}.py').write_text(change(text))
        small = f'{TINY} {LOADERS} model.backbone.init_cfg=None {task.sizes}'.split()
        arguments = ('--amp', 'off', '--auto-scale-lr', '--cfg-options', *small, *options)
        return run_main('tools/train.py', f'{task.config}.py', *arguments)

    return run


@pytest.mark.parametrize('task', TASKS.values(), ids=TASKS)
def test_config_of_the_page_trains(task, start, tmp_path) -> None:
    assert len(config_of(task.config).splitlines()) < 20
    assert start(task) == 0
    assert list((tmp_path / 'work_dirs' / task.config).glob('*.pth'))
