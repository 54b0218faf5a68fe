"""One UniFormer backbone for the OpenMMLab libraries.

Importing this package registers its models, transforms, samplers, hooks and schedules
under the scope ``uniformer_mm``.
"""

from . import compat

compat.apply()

from . import datasets, engine, models  # noqa: E402, F401
from .models import *  # noqa: E402, F403
from .version import __version__  # noqa: E402

__all__ = ['__version__', *models.__all__]
