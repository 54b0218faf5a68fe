"""One UniFormer backbone for the OpenMMLab libraries.

Importing this package registers its models, transforms, samplers, hooks and schedules
under the scope ``uniformer_mm``.
"""

from . import compat, datasets, engine, models  # noqa: F401
from .models import *  # noqa: F403
from .version import __version__

__all__ = ['__version__', *models.__all__]

compat.provide_mmaction_drn()
