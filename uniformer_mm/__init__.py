"""One UniFormer backbone for the OpenMMLab libraries.

Importing this package registers its models, transforms, samplers, hooks and schedules
under the scope ``uniformer_mm``; each is imported when it is used for the first time.
"""

from importlib import import_module

from . import compat, registry  # noqa: F401
from .home import find_config
from .version import __version__

__all__ = [
    'BatchMixFlip',
    'DualFormer',
    'TeacherTokenLoss',
    'TokenLabelLoss',
    'TokenLabelTarget',
    'UniFormer',
    'UniFormer3D',
    'UniFormerLight',
    'UniFormerLight3D',
    '__version__',
    'find_config',
]

compat.provide_mmaction_drn()


def __getattr__(name: str) -> type:
    if name in __all__:
        return getattr(import_module('.models', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
