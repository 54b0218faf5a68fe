"""Training files that are not what a Runner wrote, resumed from.

One entry of a training file is taken out or replaced by something else, at any depth: of another
type, negative, infinite, huge, of another shape. A resume must refuse the file in one line, or end
with the weights of the resume from the file as it was. Two files are made by an attacker: one has
text that MMEngine runs, one names a folder that it removes.
"""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from forked import REPO, Forked
from table import Outcome, judge
from tiny_runs import difference, make_tiny

TRIALS = 140
TIMEOUT = 120
OPTIONS = (
    *('train_cfg.max_epochs=2', 'train_dataloader.num_workers=0'),
    *('default_hooks.checkpoint.save_best=auto',),
)
# Where an entry is changed, and how deep below it.
PARTS = {
    'meta': 1,
    'message_hub': 3,
    'optimizer': 4,
    'param_schedulers': 3,
    'ema_state_dict': 1,
    'state_dict': 1,
}
ODD: dict[str, Callable[[Any], Any]] = {
    'None': lambda _: None,
    'text': lambda _: 'abc',
    'bytes': lambda _: b'abc',
    '-1': lambda _: -1,
    '1e400': lambda _: 10**400,
    'NaN': lambda _: float('nan'),
    'infinity': lambda _: float('inf'),
    'True': lambda _: True,
    'a list': lambda _: [1, 'a'],
    'a dict': lambda _: {'a': 1, 2: None},
    'nothing of it': lambda old: type(old)() if isinstance(old, dict | list | tuple) else None,
    'a tensor': lambda _: torch.full((2, 3), float('nan')),
    'a longer tensor': lambda old: torch.stack([old, old]) if torch.is_tensor(old) else [old, old],
    'infinite': lambda old: old * float('inf') if torch.is_tensor(old) else float('-inf'),
    'another type': lambda old: old.bool() if torch.is_tensor(old) else str(old),
}


def start(config: Path, work_dir: Path, *args: object) -> Forked:
    """Start a training on the CPU."""
    command = (REPO / 'tools/train.py', config, '--work-dir', work_dir, '--seed', 0, *args)
    env = dict(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    return Forked(*command, '--cfg-options', *OPTIONS, env=env)


def change(checkpoint: dict, rng: random.Random) -> str:
    """Change one entry in place; gives its name and what was done."""
    node, key = checkpoint, rng.choice(list(PARTS))
    name = key
    for _ in range(rng.randint(0, PARTS[key])):
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner:
            break
        node, key = inner, rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        name += f'.{key}'
    # A parameter of which the optimizer knows nothing had no gradient.
    if rng.random() < 0.2 and not name.startswith('optimizer.state.'):
        del node[key]
        return f'{name} taken out'
    odd = rng.choice(list(ODD))
    node[key] = ODD[odd](node[key])
    return f'{name}: {odd}'


def attack_text(checkpoint: dict, victim: Path) -> None:
    checkpoint['meta']['config'] = f'import shutil\nshutil.rmtree({str(victim)!r})'


def attack_best(checkpoint: dict, victim: Path) -> None:
    checkpoint['message_hub']['runtime_info'].update(best_ckpt=str(victim), best_score=-1.0)


def run(count: int | None, seed: int) -> Iterator[Outcome]:
    """Resume ``count`` files, or all 142."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config, whole = make_tiny(root / 'data'), root / 'whole'
        ended = start(config, whole).wait(TIMEOUT)
        if ended.returncode:
            yield Outcome('resumes', 'the run itself', *judge(ended))
            return
        original = torch.load(whole / 'epoch_1.pth', weights_only=False)
        for number in range(TRIALS + 2)[:count]:
            checkpoint = copy.deepcopy(original)
            victim, work_dir, file = root / 'best_victim', root / 'resumed', root / 'changed.pth'
            victim.mkdir(exist_ok=True)
            shutil.rmtree(work_dir, ignore_errors=True)
            if number < 2:
                attack = (attack_text, attack_best)[number]
                attack(checkpoint, victim)
                trial = attack.__name__
            else:
                trial = change(checkpoint, rng)
            torch.save(checkpoint, file)
            ended = start(config, work_dir, '--resume', file).wait(TIMEOUT)
            verdict, detail = judge(ended)
            if verdict == 'fine':
                detail = difference(whole / 'epoch_2.pth', work_dir / 'epoch_2.pth')
                verdict = 'harm' if detail else 'fine'
            if not victim.exists():
                verdict, detail = 'harm', 'removed a folder elsewhere'
            yield Outcome('resumes', trial, verdict, detail)
