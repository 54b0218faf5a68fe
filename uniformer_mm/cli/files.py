"""Checkpoints and data, looked at before any work begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config, ConfigDict

from uniformer_mm.checkpoints import check_file, load_weights_only, local_path
from uniformer_mm.checkpoints.plain import load_plain_pickle
from uniformer_mm.errors import UserError

from .runtime import LOADERS

_NOT_PLAIN = ('.pkl', '.pickle', '.yaml', '.yml')


def _is_local(path: str) -> bool:
    return '://' not in path


def peek_checkpoint(path: str) -> dict[str, Any]:
    """Read the header of a local checkpoint, to see that it is whole.

    Its tensors stay on the disk; only files of torch < 1.6 are read completely.

    Args:
        path: A checkpoint file. Addresses such as ``https://`` are not fetched here.

    Returns:
        Its ``meta``, empty if it has none or is an address.

    Raises:
        UserError: If the file is missing, damaged or no checkpoint.
    """
    file = local_path(path)
    if file is None:
        return {}
    check_file(file)
    try:
        checkpoint = load_weights_only(file, mmap=True)
    except Exception as error:  # torch reports damage with many types
        raise UserError(
            f'{path} cannot be read as a checkpoint: damaged, or no PyTorch file of weights '
            f'({type(error).__name__}).'
        ) from error
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return meta if isinstance(meta, dict) else {}


def _saved_checkpoints(work_dir: str, kinds: tuple[str, ...] = ('epoch', 'iter')) -> list[Path]:
    """Checkpoints of an earlier run, newest first."""
    files = [file for kind in kinds for file in Path(work_dir).glob(f'{kind}_*.pth')]
    return sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)


def set_resume(cfg: Config, resume: str | None) -> list[str]:
    """Decide where training starts, so that nothing already saved is overwritten.

    Args:
        cfg: The config, with its work dir.
        resume: None for a new run, ``'auto'`` for the newest whole checkpoint of the work dir, or
            a checkpoint.

    Returns:
        Notes for the log.

    Raises:
        UserError: If a new run would write over an old one, or the checkpoint is not usable.
    """
    if resume is None and cfg.get('resume'):
        resume = cfg.get('load_from') or 'auto'
    cfg.resume = False
    saved = _saved_checkpoints(cfg.work_dir)
    notes = []
    if resume is None:
        if old := saved or _saved_checkpoints(cfg.work_dir, kinds=('best',)):
            raise UserError(
                f'{cfg.work_dir} holds the checkpoints of another run ({old[0].name}), which '
                'this one would overwrite. Continue it with --resume, or choose another --work-dir.'
            )
        if cfg.get('load_from'):
            peek_checkpoint(cfg.load_from)
        return notes

    meta: dict[str, Any] = {}
    if resume == 'auto':
        resume = None
        for file in saved:
            try:
                meta = peek_checkpoint(str(file))
            except UserError as error:  # killed while it was written
                notes.append(f'Skipped: {error}')
                continue
            resume = str(file)
            break
        if resume is None and saved:
            raise UserError(f'--resume: no checkpoint in {cfg.work_dir} can be read. {notes[0]}')
        if resume is None:
            notes.append(f'--resume: {cfg.work_dir} has no checkpoint yet: training starts anew.')
            return notes
    else:
        meta = peek_checkpoint(resume)

    foreign = Path(resume).absolute().parent != Path(cfg.work_dir).absolute()
    if saved and _is_local(resume) and foreign:
        raise UserError(
            f'{cfg.work_dir} holds the checkpoints of another run ({saved[0].name}) than '
            f'{resume}, which would be overwritten. Choose another --work-dir.'
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
            for path in _data_folders(dataset):
                if _is_local(path) and not Path(path).exists():
                    raise UserError(_missing_data(split, path))
            _check_plain(dataset)
            boxes = dataset.get('bbox_file')
            if boxes and _is_local(boxes) and not Path(boxes).is_file():
                raise UserError(_missing_boxes(split, boxes))


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


def _data_folders(dataset: dict) -> Iterator[str]:
    """The folders a dataset needs, outermost first."""
    if root := dataset.get('data_root'):
        yield str(root)
        return
    prefix = dataset.get('data_prefix') or {}
    prefixes = [prefix] if isinstance(prefix, str) else list(prefix.values())
    yield from (str(path) for path in prefixes if path and not isinstance(path, dict))


def _missing_data(split: str, path: str) -> str:
    message = f'The {split} data folder {path} does not exist (from {Path.cwd()}). '
    if 'data/mini' in path:
        return message + 'Make the built-in small data with: python tools/demo/make_mini.py'
    return message + (
        'Put or link the data there (docs/data.md), or name its place with '
        f'--cfg-options {LOADERS[split]}.dataset.data_root=...'
    )


def _missing_boxes(split: str, path: str) -> str:
    option = f'{LOADERS[split]}.dataset.bbox_file'
    return (
        f'The file of detected people {path} does not exist (from {Path.cwd()}). Put it there '
        f'(docs/data.md), name its place with --cfg-options {option}=..., or take the annotated '
        f'boxes, which scores higher than published, with --cfg-options {option}=None'
    )
