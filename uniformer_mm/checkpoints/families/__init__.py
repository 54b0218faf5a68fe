"""What reading and loading must know of each kind of network: one module a kind.

Such a module has the functions ``recognises``, ``may_keep_initial``, ``may_be_dropped``,
``adapt_stem``, ``is_for_images``, ``inflate``, ``hints`` and ``describe``; see :mod:`.uniformer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from . import uniformer

FAMILIES: tuple[ModuleType, ...] = (uniformer,)


def family_of(state: Iterable[str]) -> ModuleType:
    """The kind of a network, by its entries under official names; UniFormer if none fits."""
    return next((family for family in FAMILIES if family.recognises(state)), uniformer)
