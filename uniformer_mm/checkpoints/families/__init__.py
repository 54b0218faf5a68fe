"""What reading and loading must know of each kind of network: one module a kind.

Such a module has the functions ``recognises``, ``may_keep_initial``, ``may_be_dropped``,
``inflate``, ``fit_clip``, ``hints`` and ``describe``, see :mod:`.uniformer`, and constants:

* ``STEM_WEIGHTS``: names of the first convolution;
* ``HEAD_DIM``: channels of one attention head if all networks have the same number, else None;
* ``OPENMMLAB``: whether the authors' own code is an OpenMMLab library, so that their files have its
  names and its order of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ..weights import Weights
from . import dualformer, uniformer

FAMILIES: tuple[ModuleType, ...] = (uniformer, dualformer)


def family_of(state: Iterable[str]) -> ModuleType:
    """The kind of a network, by its entries under official names; UniFormer if none fits."""
    return next((family for family in FAMILIES if family.recognises(state)), uniformer)


def describe_weights(
    weights: Weights, arch: str | None = None, head_dim: int | None = None
) -> dict[str, Any]:
    """Find the network that fits the weights, and its arguments.

    Only loading the weights into it proves that they are complete.

    Args:
        weights: What was read.
        arch: Name of the architecture, to check it or to learn the head dimension from it.
        head_dim: Channels of one attention head, if the file does not tell it.

    Returns:
        A config of the network: its ``type``, such as ``'uniformer_mm.UniFormerLight3D'``, and its
        arguments, see ``describe`` of :mod:`.uniformer` and :mod:`.dualformer`.

    Raises:
        CheckpointError: If the weights are of no network here, contradict the arguments or do not
            tell their head dimension.
    """
    return family_of(weights.backbone).describe(weights, arch, head_dim)
