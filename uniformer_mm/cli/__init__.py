"""What ``tools/train.py`` and ``tools/test.py`` do to a config before mmengine's Runner gets it.

Each OpenMMLab library has its own training and test script; they differ in small preparations of
the config. Here all of them are made in one place, chosen by the config's ``default_scope``, and
what a user can get wrong is checked before any work begins.
"""

from ..errors import UserError
from .config import (
    LIBRARIES,
    Library,
    OptionAction,
    add_common_arguments,
    check_options,
    load_config,
)
from .messages import run_tool
from .files import check_data, peek_checkpoint, set_resume
from .runtime import (
    build_runner,
    check_optimizer,
    prepare_runtime,
    set_amp,
    set_hooks,
    set_loaders,
    set_work_dir,
)
from .evaluation import add_dump, set_tta, set_visualization

__all__ = [
    'LIBRARIES',
    'Library',
    'OptionAction',
    'UserError',
    'add_common_arguments',
    'add_dump',
    'build_runner',
    'check_data',
    'check_optimizer',
    'check_options',
    'load_config',
    'peek_checkpoint',
    'prepare_runtime',
    'run_tool',
    'set_amp',
    'set_hooks',
    'set_loaders',
    'set_resume',
    'set_tta',
    'set_visualization',
    'set_work_dir',
]
