"""The order of the classes in the authors' video heads and in MMAction2's labels.

MMAction2 numbers the classes of Kinetics alphabetically, those of Something-Something V1 in the
order of the data set's table of labels. The authors' lists, with which the released UniFormers were
trained, number them in another way: those of V1 alphabetically. Not one of the 400 classes of
Kinetics, and one of the 174 of V1, has the same number in both. The 174 of V2 are alphabetical in
both, and DualFormer's authors number as MMAction2.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from uniformer_mm.errors import CheckpointError

from .families import family_of
from .weights import Weights

# Data sets that have an order, with the number of their classes.
CLASS_ORDERS = {'kinetics400': 400, 'kinetics600': 600, 'sthv1': 174}


@cache
def class_order(dataset: str) -> Tensor:
    """MMAction2's number of every class, in the order of the authors' heads.

    Args:
        dataset: A name of :data:`CLASS_ORDERS`.

    Returns:
        A permutation: entry i is MMAction2's number of the authors' class i.
    """
    if dataset not in CLASS_ORDERS:
        raise ValueError(f'There is an order for {", ".join(CLASS_ORDERS)}, not {dataset!r}.')
    table = json.loads(Path(__file__).with_name('class_orders.json').read_text())
    return torch.tensor(table[dataset])


def possible_class_order(weights: Weights) -> str | None:
    """Whose classes a video head may be of, by their number.

    Returns:
        A name of :data:`CLASS_ORDERS`, ``'sthv1'`` for a head of Something-Something V2 too; None
        for images, other numbers of classes and networks whose authors number as MMAction2.
    """
    is_mm = family_of(weights.backbone).OPENMMLAB
    if is_mm or not weights.video or 'head.weight' not in weights.classifier:
        return None
    classes = weights.classifier['head.weight'].shape[0]
    return next((name for name, number in CLASS_ORDERS.items() if number == classes), None)


def reorder_head(weights: Weights, dataset: str, to_mmaction: bool) -> Weights:
    """Bring the classes of video heads into another order.

    Args:
        weights: What was read; not changed.
        dataset: A name of :data:`CLASS_ORDERS`.
        to_mmaction: Whether to go from the authors' order to MMAction2's, or back.

    Returns:
        The same weights with other heads.

    Raises:
        CheckpointError: If there is no video head with that number of classes.
    """
    if possible_class_order(weights) != dataset:
        head = weights.classifier.get('head.weight')
        found = 'no head' if head is None else f'a head of {head.shape[0]} classes'
        raise CheckpointError(
            f'{weights.source} has {found if weights.video else "no video network"}, which cannot '
            f'be in the order of {dataset}.'
        )
    order = class_order(dataset)
    index = order.argsort() if to_mmaction else order
    return replace(
        weights,
        classifier={
            key: value if key.startswith('norm_cls.') else value[index]
            for key, value in weights.classifier.items()
        },
    )
