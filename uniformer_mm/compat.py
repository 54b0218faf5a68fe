"""Repairs of third-party packages: what neither a type of our own nor a pin can mend.

A repair is one function that first checks whether its fault is present, so that a fixed release of
the package switches it off. Nothing here imports mmpretrain, mmdet, mmseg, mmpose or mmaction.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

__all__ = ['provide_mmaction_drn']


class _MissingDRN(ModuleType):
    """The module that the wheel lacks; its class is made when mmaction imports it."""

    def __getattr__(self, name: str) -> Any:
        if name != 'DRN':
            raise AttributeError(name)
        from mmaction.registry import MODELS

        @MODELS.register_module()
        class DRN(nn.Module):
            """Stands in for mmaction2's dense regression network."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                raise ImportError(
                    'DRN is not part of the mmaction2 1.2.0 wheel: its folder '
                    'mmaction/models/localizers/drn was left out of the release. To use DRN, '
                    'install mmaction2 from its source repository.'
                )

        self.DRN = DRN
        return DRN


def provide_mmaction_drn() -> None:
    """Make ``import mmaction.models`` work with the mmaction2 1.2.0 wheel.

    Fault: ``mmaction/models/localizers/__init__.py`` imports ``.drn.drn``, and the wheel on PyPI
    was built without that folder. Python takes the module from ``sys.modules``, where a stand-in is
    put that raises when a DRN is built.
    """
    mmaction = importlib.util.find_spec('mmaction')  # does not import it
    if mmaction is None or mmaction.origin is None:
        return
    localizers = Path(mmaction.origin).parent / 'models/localizers'
    if localizers.is_dir() and not (localizers / 'drn').is_dir():
        name = 'mmaction.models.localizers.drn.drn'
        sys.modules.setdefault(name, _MissingDRN(name))
