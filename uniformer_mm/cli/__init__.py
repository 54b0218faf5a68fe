"""What ``tools/train.py`` and ``tools/test.py`` do to a config before mmengine's Runner gets it.

The config says what is run; the tools start it. Each OpenMMLab library has its own training and
test script, which differ in small preparations of the config: here the same ones are made, as the
library's record in :mod:`~uniformer_mm.cli.libraries` tells, and what a user can get wrong is
checked before any work begins.
"""

from uniformer_mm.errors import UserError

from .classes import add_classes_option, class_names, known_meta
from .config import OptionAction, add_common_arguments, add_options, load_config, near_misses
from .evaluation import add_dump, add_fast_option, set_fast, set_tta, set_visualization
from .files import (
    check_data,
    check_weights,
    check_work_dir,
    how_to_go_on,
    is_first_process,
    peek_checkpoint,
    resume_after_restart,
    set_resume,
)
from .libraries import LIBRARIES, Library, library_of, task_forward
from .messages import debugging, explain, run_tool
from .runtime import (
    build_runner,
    build_trained,
    check_optimizer,
    class_order_of,
    prepare_runtime,
    set_amp,
    set_loaders,
    set_work_dir,
)

__all__ = [
    'LIBRARIES',
    'Library',
    'OptionAction',
    'UserError',
    'add_classes_option',
    'add_common_arguments',
    'add_dump',
    'add_fast_option',
    'add_options',
    'build_runner',
    'build_trained',
    'check_data',
    'check_optimizer',
    'check_weights',
    'check_work_dir',
    'class_names',
    'class_order_of',
    'debugging',
    'explain',
    'how_to_go_on',
    'is_first_process',
    'known_meta',
    'library_of',
    'load_config',
    'near_misses',
    'peek_checkpoint',
    'prepare_runtime',
    'resume_after_restart',
    'run_tool',
    'set_amp',
    'set_fast',
    'set_loaders',
    'set_resume',
    'set_tta',
    'set_visualization',
    'set_work_dir',
    'task_forward',
]
