"""Names of the classes of a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from uniformer_mm.errors import UserError


def add_classes_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--classes``, for :func:`class_names`."""
    parser.add_argument(
        '--classes',
        type=Path,
        help='file with the name of a class in each line; default: the names in the checkpoint, or '
        "those of the config's data set",
    )


def known_meta(num_classes: int, cfg: Config, checkpoint_meta: dict[str, Any]) -> dict[str, Any]:
    """What is known of data with so many classes: by the checkpoint, the config or its data set.

    Args:
        num_classes: Number of classes of the model.
        cfg: Its config.
        checkpoint_meta: What the checkpoint knows of the training data.

    Returns:
        ``classes`` and what stands beside them, such as ``palette``; nothing if no such names are
        known.
    """
    dataset = cfg.test_dataloader.dataset
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        known = getattr(registry.get(dataset.type), 'METAINFO', {})
    for meta in (checkpoint_meta, dataset.get('metainfo') or {}, known):
        if len(meta.get('classes') or ()) == num_classes:
            return meta
    return {}


def class_names(
    file: Path | None, num_classes: int, cfg: Config, checkpoint_meta: dict[str, Any]
) -> Sequence[str]:
    """Names of the classes; their numbers if nothing tells as many names.

    Args:
        file: With a name in each line; it comes first.
        num_classes: Number of classes of the model.
        cfg: Its config.
        checkpoint_meta: What the checkpoint knows of the training data.

    Raises:
        UserError: If the file is missing, or has another number of names.
    """
    if file is None:
        meta = known_meta(num_classes, cfg, checkpoint_meta)
        return meta.get('classes') or [f'class {number}' for number in range(num_classes)]
    if not file.is_file():
        raise UserError(f'There is no file {file}.')
    try:
        names = file.read_text().splitlines()
    except ValueError as error:
        raise UserError(f'{file} is no text: {error}.') from error
    if len(names) != num_classes:
        raise UserError(f'{file} has {len(names)} names; the model {num_classes} classes.')
    return names
