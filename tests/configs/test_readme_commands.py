"""What the pages tell to type is understood, and reaches the rows of the READMEs' tables.

Every command that trains or tests a config of ours is read, and its options put into its config.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from mmengine.registry import TRANSFORMS, DefaultScope
from page_commands import PAGES, as_python
from page_commands import commands as commands_of
from paper_configs import (
    CONFIGS,
    build_model,
    config_of,
    parse_options,
    read_config,
    views_of,
    with_options,
)

from uniformer_mm.checkpoints import resolve
from uniformer_mm.cli.config import near_misses
from uniformer_mm.cli.numbers import check_numbers


class Command(NamedTuple):
    """A command of a page in FOLDER, as of ``configs/FOLDER/README.md``."""

    folder: str
    task: str
    config: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return '-'.join((self.folder, self.task, *self.options))


def commands() -> Iterator[Command]:
    for page in PAGES:
        for words in commands_of(page):
            tool, *args = as_python(words) or ('',)
            if tool in ('tools/train.py', 'tools/test.py') and args[0].startswith('configs/'):
                _, _, options = ' '.join(args).partition('--cfg-options ')
                yield Command(page.parent.name, Path(tool).stem, args[0], tuple(options.split()))


COMMANDS = list(commands())
ROWS = {
    model['Name']: model
    for path in sorted(CONFIGS.glob('*/metafile.yml'))
    for model in yaml.safe_load(path.read_text())['Models']
}
OVERRIDES = {name: model for name, model in ROWS.items() if 'Override' in model}
VIEWS = {
    f'{name}-{found[1]}': (model, found[1])
    for name, model in ROWS.items()
    for metric in model['Results'][0]['Metrics']
    if (found := re.fullmatch(r'Top 1 Accuracy \((\d+x\d+)\)', metric))
}


def of_folder(model: dict, task: str) -> list[Command]:
    folder = model['Config'].split('/')[1]
    return [command for command in COMMANDS if (command.folder, command.task) == (folder, task)]


@pytest.mark.parametrize('command', [c for c in COMMANDS if c.options], ids=str)
def test_command_is_understood(command) -> None:
    """Every option is one that the model, a pipeline or the run takes."""
    before = read_config(CONFIGS.parent / command.config)
    assert not near_misses(before, parse_options(command.options))
    cfg = with_options(command.config, command.options)
    check_numbers(cfg)
    start = cfg.model.backbone.get('init_cfg', {}).pop('checkpoint', None)
    assert start is None or resolve(start).startswith(('https://', 'weights/', 'work_dirs/demo/'))
    before.model.backbone.get('init_cfg', {}).pop('checkpoint', None)
    if cfg.model != before.model:
        with torch.device('meta'):
            build_model(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for split in ('train', 'val', 'test'):
            for step in cfg[f'{split}_dataloader'].dataset.get('pipeline', ()):
                TRANSFORMS.build(step)


@pytest.mark.parametrize(('name', 'model'), OVERRIDES.items(), ids=OVERRIDES)
def test_row_is_a_command(name, model) -> None:
    """Its name tells clips, batch, length and data, which are the config's, and the start."""
    config, options = model['Config'], tuple(model['Override'])
    assert (config, options) in {(c.config, c.options) for c in of_folder(model, 'train')}
    assert name.partition('-pre_')[2] == Path(config).stem.partition('-pre_')[2]
    if found := re.match(r'uniformer-(\w+?)(?:-\w+)?_([\w-]+)-pre_', name):
        start = config_of(model).model.backbone.init_cfg.checkpoint
        assert found[1] in start
        assert found[2].replace('-', '_') in start


@pytest.mark.parametrize(('model', 'views'), VIEWS.values(), ids=VIEWS)
def test_other_views_are_those_of_a_command(model, views) -> None:
    """Some test command of the folder makes these crops and clips of the row's own config."""
    crops, clips = map(int, views.split('x'))
    row = tuple(model.get('Override', ()))
    found = []
    for command in of_folder(model, 'test'):
        cfg = with_options(model['Config'], (*row, *command.options))
        steps = cfg.test_dataloader.dataset.pipeline
        sampled = sum(step.get('num_clips', 1) for step in steps if 'clip_len' in step)
        found.append((views_of(cfg) // sampled, sampled))
    assert (crops, clips) in found
