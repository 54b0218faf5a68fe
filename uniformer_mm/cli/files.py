"""Checkpoints and data, looked at before any work begins."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml
from mmengine.config import Config, ConfigDict

from uniformer_mm.checkpoints import check_file, check_meta, load_file, local_path
from uniformer_mm.checkpoints.plain import load_plain_pickle
from uniformer_mm.errors import UserError

from .runtime import LOADERS

RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}
_NOT_PLAIN = ('.pkl', '.pickle', '.yaml', '.yml')


def _is_local(path: str) -> bool:
    return '://' not in path


def peek_checkpoint(path: str) -> dict[str, Any]:
    """Read the header of a local checkpoint, to see that it is whole.

    Its tensors stay on the disk; only files of torch < 1.6 are read completely.

    Args:
        path: A checkpoint file. Addresses and names of released files are not fetched here.

    Returns:
        Its ``meta``, empty if it has none or is an address.

    Raises:
        UserError: If the file is missing, damaged or no checkpoint.
    """
    meta = _peek(path).get('meta')
    return meta if isinstance(meta, dict) else {}


def _peek(path: str) -> dict[str, Any]:
    file = local_path(path)
    if file is None:
        return {}
    checkpoint = load_file(file, mmap=True)
    return checkpoint if isinstance(checkpoint, dict) else {}


def _peek_state(path: str) -> dict[str, Any]:
    """The ``meta`` of a checkpoint that a training can be resumed from.

    Raises:
        UserError: If it has no optimizer, or does not say how far training was.
    """
    checkpoint = _peek(path)
    meta = checkpoint.get('meta')
    if local_path(path) is None:
        return {}
    if 'optimizer' not in checkpoint:
        raise UserError(
            f'{path} has weights but no optimizer and no schedule, which would start anew: resume '
            'from an epoch_*.pth or iter_*.pth, or train on from these weights with '
            f'--cfg-options load_from={path} and another --work-dir.'
        )
    check_meta(meta, path)
    return meta


def check_work_dir(work_dir: str) -> None:
    """See that a work dir can be written to.

    Raises:
        UserError: If it is a file, read-only, or its disk is full.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=work_dir, buffering=0) as file:
            file.write(bytes(1 << 20))  # logs alone need as much
    except OSError as error:
        raise UserError(
            f'The work dir {work_dir} cannot be written to: {error.strerror}. Choose another with '
            '--work-dir.'
        ) from error


def _saved_checkpoints(work_dir: str) -> list[Path]:
    """Checkpoints of an earlier run from which it can be resumed."""
    patterns = ('epoch_*.pth', 'iter_*.pth', 'preempted.pth')
    return sorted(file for pattern in patterns for file in Path(work_dir).glob(pattern))


def set_resume(cfg: Config, resume: str | None) -> list[str]:
    """Decide where training starts, so that nothing already saved is overwritten.

    Args:
        cfg: The config, with its work dir.
        resume: None for a new run, ``'auto'`` for the checkpoint of the work dir that is furthest
            in training and whole, or a checkpoint.

    Returns:
        Notes for the log.

    Raises:
        UserError: If a new run would write over an old one, or the checkpoint is not usable.
    """
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or 'auto'
    cfg.resume = False
    saved = _saved_checkpoints(cfg.work_dir)
    best = sorted(Path(cfg.work_dir).glob('best_*.pth'))
    names = [file.name for file in saved or best]
    if resume is None:
        if names:
            raise UserError(
                f'{cfg.work_dir} holds the checkpoints of another run ({names[-1]}), which this '
                'one would overwrite. Continue it with --resume, or choose another --work-dir.'
            )
        if cfg.get('load_from'):
            peek_checkpoint(cfg.load_from)
        return []

    notes: list[str] = []
    if resume == 'auto':
        states: list[tuple[int, bool, str, dict]] = []
        for file in saved:
            try:
                meta = _peek_state(str(file))
            except UserError as error:
                notes.append(f'Skipped: {error}')
            else:
                states.append((meta['iter'], file.name == 'preempted.pth', str(file), meta))
        if not states and names:
            reason = notes[0] if notes else f'{names[-1]} has only weights.'
            raise UserError(
                f'--resume: {cfg.work_dir} has no checkpoint that training can go on from, and a '
                f'new run would overwrite those it has. {reason}'
            )
        if not states:
            return [f'--resume: {cfg.work_dir} has no checkpoint yet: training starts anew.']
        *_, resume, meta = max(states, key=lambda state: state[:2])
    else:
        resume = str(local_path(resume) or resume)
        meta = _peek_state(resume)

    foreign = Path(resume).absolute().parent != Path(cfg.work_dir).absolute()
    if names and _is_local(resume) and foreign:
        raise UserError(
            f'{cfg.work_dir} holds the checkpoints of another run ({names[-1]}) than {resume}, '
            'which would be overwritten. Choose another --work-dir.'
        )
    cfg.resume, cfg.load_from = True, resume
    if meta.get('seed') is not None:
        # mmengine takes it over too late: the sampler has its seed by then.
        cfg.setdefault('randomness', ConfigDict())
        cfg.randomness.seed = meta['seed']
    notes.append(
        f'Resuming from {resume} (epoch {meta.get("epoch")}, iteration {meta.get("iter")}).'
    )
    return notes


def resume_after_restart(cfg: Config, resume: str | None) -> str | None:
    """What to resume from when tools/launch.py, torchrun or Slurm has started the processes anew.

    The run that they continue may have been new, or continue another one. Its own checkpoints are
    all that its work dir holds, unless it was told to resume from one of them.

    Args:
        cfg: The config, with its work dir.
        resume: What was asked for at the first start, as of :func:`set_resume`.
    """
    counts = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')
    restarted = any(int(os.environ.get(count, 0)) for count in counts)
    if not restarted or not _saved_checkpoints(cfg.work_dir):
        return resume
    named = resume not in (None, 'auto')
    own = named and Path(resume).absolute().parent == Path(cfg.work_dir).absolute()
    return resume if own else 'auto'


def how_to_go_on(work_dir: str, launcher: str) -> str:
    """What to start after a run was interrupted, for whoever interrupted it."""
    if not _saved_checkpoints(work_dir):
        return 'there is no checkpoint yet to go on from'
    if launcher != 'none':
        return 'go on with the same command and --resume'
    python = sys.orig_argv[0]  # as it was typed
    return f'go on with: {shlex.join([python, *sys.argv, "--resume"])}'  # the last one counts


def is_first_process(launcher: str) -> bool:
    """Whether this process has rank 0, before the processes have met."""
    return launcher == 'none' or os.environ.get(RANKS[launcher], '0') == '0'


def check_data(cfg: Config, splits: tuple[str, ...]) -> None:
    """See that the data folders and the detections file exist, and that no file can run code.

    Args:
        cfg: The config.
        splits: Those of train, val, test that will be used.

    Raises:
        UserError: At the first folder or file that does not exist, or is more than data.
    """
    for split in splits:
        loader = cfg.get(LOADERS[split])
        for dataset in datasets_of(loader.dataset if loader else None):
            for entry, path in _data_folders(dataset):
                if _is_local(path) and not Path(path).exists():
                    raise UserError(_missing_data(split, entry, path))
            _check_plain(dataset)
            boxes = dataset.get('bbox_file')
            if boxes and _is_local(boxes) and not Path(boxes).is_file():
                raise UserError(_missing_boxes(split, boxes))


def check_weights(cfg: Config) -> None:
    """See that the files that a model's ``init_cfg`` names exist and are whole, before it is built.

    Raises:
        UserError: Names the first that is missing or damaged.
    """
    for checkpoint in _pretrained(cfg.model):
        file = local_path(checkpoint)
        if file is None:
            continue
        try:
            check_file(file)
        except UserError as error:
            raise UserError(
                f'{error} The model starts from it (init_cfg, from {Path.cwd()}). docs/weights.md '
                'says where the released files are. To start from nothing: --cfg-options '
                'model.backbone.init_cfg=None'
            ) from error


def _pretrained(node: Any) -> Iterator[str]:
    """The checkpoints of all ``init_cfg=dict(type='Pretrained', checkpoint=...)`` in a config."""
    if isinstance(node, dict) and node.get('type') == 'Pretrained' and node.get('checkpoint'):
        yield node['checkpoint']
    elif isinstance(node, dict | list | tuple):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _pretrained(child)


def datasets_of(node: Any) -> Iterator[dict]:
    """The datasets inside wrappers such as RepeatDataset and ConcatDataset."""
    if not isinstance(node, dict):
        return
    inner = [node['dataset']] if 'dataset' in node else node.get('datasets', [])
    if not inner:
        yield node
    for child in inner:
        yield from datasets_of(child)


def _check_plain(dataset: dict) -> None:
    """See that annotations in files of pickle or YAML hold data only: libraries would run more."""
    for name in dataset.values():
        if not isinstance(name, str) or not name.endswith(_NOT_PLAIN):
            continue
        for path in {Path(name), Path(dataset.get('data_root') or '', name)}:
            if not path.is_file():
                continue
            if path.suffix in ('.pkl', '.pickle'):
                load_plain_pickle(path)
                continue
            try:
                yaml.safe_load(path.read_bytes())
            except (yaml.YAMLError, ValueError) as error:
                reason = ' '.join(str(error).split())
                raise UserError(f'{path} cannot be read as plain data: {reason}') from error


def _data_folders(dataset: dict) -> Iterator[tuple[str, str]]:
    """The folders a dataset needs, outermost first, and the entries that name them."""
    root = str(dataset.get('data_root') or '')
    if root:
        yield 'data_root', root
    prefix = dataset.get('data_prefix') or {}
    prefixes = {'': prefix} if isinstance(prefix, str) else prefix
    for name, path in prefixes.items():
        # Those of labels may be missing, since images without any can be tested.
        if path and isinstance(path, str) and name != 'seg_map_path' and _is_local(root + path):
            yield f'data_prefix.{name}'.rstrip('.'), str(Path(root, path))


def _missing_data(split: str, entry: str, path: str) -> str:
    message = f'The {split} data folder {path} does not exist (from {Path.cwd()}). '
    if 'data/mini' in path:
        return message + 'Make the built-in small data with: python tools/demo/make_mini.py'
    return message + (
        'Put or link the data there (docs/data.md), or name its place with '
        f'--cfg-options {LOADERS[split]}.dataset.{entry}=...'
    )


def _missing_boxes(split: str, path: str) -> str:
    option = f'{LOADERS[split]}.dataset.bbox_file'
    return (
        f'The file of detected people {path} does not exist (from {Path.cwd()}). Put it there '
        f'(docs/data.md), name its place with --cfg-options {option}=..., or take the annotated '
        f'boxes, which scores higher than published, with --cfg-options {option}=None'
    )
