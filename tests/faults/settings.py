"""Wrong settings: the mini configs with one entry changed, for one iteration.

``settings.txt`` lists the entries and wrong values of them. Some may be accepted, because they do
no harm; any other that is accepted is harm. A refusal has to name the key or the entry it is in.

This file is also the script that runs a trial: ``tools/train.py`` without the text of the config in
its log, which takes longer than all else.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import TimeoutExpired
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / 'tools/demo'))
TABLE = Path(__file__).with_suffix('.txt')
TIMEOUT = 300

# Config, data set, samples of training and validation, options of its own.
ROUND = ('train_dataloader.sampler.round_to=2',)
PLAIN = (
    *('train_dataloader.batch_size=4', 'val_dataloader.batch_size=1'),
    'model.backbone.init_cfg=None',
)
RUNS = {
    'cls': ('uniformer-mini_1xb32_digits', 'imagenet', 10, ROUND),
    'light': ('uniformer-light-mini_1xb32_digits', 'imagenet', 10, ()),
    'det': ('mask-rcnn_uniformer-mini-h_fpn_coco-digits', 'coco', 4, PLAIN),
    'seg': ('uniformer-mini-g_fpn_ade20k-digits', 'ade', 4, PLAIN),
    'pose': ('td-hm_uniformer-mini_coco-people', 'pose', 1, PLAIN),
    'video': ('uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb', 'kinetics', 4, PLAIN),
    'dual': ('dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb', 'kinetics', 4, PLAIN),
}
# One iteration of training, one of validation, no processes.
SHORT = (
    *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0', 'train_cfg.val_interval=1'),
    *('train_dataloader.batch_size=10', 'val_dataloader.batch_size=10'),
)


class Trial(NamedTuple):
    """One wrong setting: an option of the command line, or a line of a config file."""

    run: str
    option: str
    may_pass: bool = False

    @property
    def is_line(self) -> bool:
        """Whether it is a line of a file."""
        return ' ' in self.option

    @property
    def names(self) -> set[str]:
        """What a refusal may call it: key, entry, or a long value such as that of a path."""
        if self.is_line:
            return set(re.findall(r'\w+(?= ?=)', self.option))
        key, _, value = self.option.partition('=')
        entry, _, last = key.rpartition('.')
        holder = entry.rpartition('.')[2]
        names = {entry or key, *({last} - {'type'})}
        return names | {name for name in (holder, value) if '_' in name or len(name) > 6}


def trials() -> Iterator[Trial]:
    """All of the table."""
    for line in TABLE.read_text().splitlines():
        run, _, rest = line.partition(' ')
        if run == 'file':
            yield Trial('cls', rest)
        elif run != '#':
            key, *values = rest.split()
            for value in values:
                yield Trial(run, f'{key}={value.removeprefix("~")}', value.startswith('~'))


def run(count: int | None, seed: int) -> Iterator:
    """Run ``count`` trials, drawn with ``seed``, or all.

    Yields:
        An outcome for each.
    """
    from table import Outcome

    chosen = list(trials())
    if count is not None:
        chosen = random.Random(seed).sample(chosen, min(count, len(chosen)))
    with tempfile.TemporaryDirectory() as folder:
        for trial in chosen:
            yield Outcome('settings', f'{trial.run}: {trial.option}', *attempt(trial, Path(folder)))


def attempt(trial: Trial, folder: Path) -> tuple[str, str]:
    """The verdict on a trial in a folder that keeps the data of earlier ones."""
    from forked import run_forked
    from make_mini import make
    from table import judge

    name, data, samples, own = RUNS[trial.run]
    with contextlib.redirect_stdout(io.StringIO()):
        make(data, folder / 'data/mini', counts=dict(train=samples, val=samples))
    config = REPO / f'configs/mini/{name}.py'
    length = 'train_cfg.max_iters=1' if trial.run == 'seg' else 'train_cfg.max_epochs=1'
    options = [*SHORT, *own, length]
    if trial.is_line:
        (folder / 'config.py').write_text(f'_base_ = [{str(config)!r}]\n{trial.option}\n')
        config = folder / 'config.py'
    else:
        options.append(trial.option)
    work = folder / 'work'
    try:
        ended = run_forked(
            *(__file__, config, '--work-dir', work, '--cfg-options', *options),
            env={'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'},
            cwd=folder,
            timeout=TIMEOUT,
        )
    except TimeoutExpired:
        return 'harm', f'still runs after {TIMEOUT} s'
    finally:
        shutil.rmtree(work, ignore_errors=True)
    verdict, said = judge(ended)
    if verdict == 'fine' and not trial.may_pass:
        return 'harm', 'accepted'
    if verdict == 'one line' and not any(name in said for name in trial.names):
        return 'vague', said
    return verdict, said


if __name__ == '__main__':
    from mmengine.config import Config

    Config.pretty_text = property(lambda self: '# left out')
    sys.path.insert(0, str(REPO / 'tools'))
    runpy.run_path(str(REPO / 'tools/train.py'), run_name='__main__')
