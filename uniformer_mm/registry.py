"""Registries of scope ``uniformer_mm``.

Each is a child of the mmengine root of the same kind, so every OpenMMLab library
finds ``type='uniformer_mm.<name>'`` whatever its ``default_scope`` is.
"""

from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import MODEL_WRAPPERS as ROOT_MODEL_WRAPPERS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import PARAM_SCHEDULERS as ROOT_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import Registry

SCOPE = 'uniformer_mm'


def _child(root: Registry, location: str) -> Registry:
    return Registry(root.name, parent=root, scope=SCOPE, locations=[f'{SCOPE}.{location}'])


MODELS = _child(ROOT_MODELS, 'models')
TRANSFORMS = _child(ROOT_TRANSFORMS, 'datasets')
DATA_SAMPLERS = _child(ROOT_DATA_SAMPLERS, 'datasets')
# Those that extend mmaction2's import it, and are imported when one is asked for.
DATASETS = _child(ROOT_DATASETS, 'datasets.clips')
HOOKS = _child(ROOT_HOOKS, 'engine')
MODEL_WRAPPERS = _child(ROOT_MODEL_WRAPPERS, 'engine')
PARAM_SCHEDULERS = _child(ROOT_PARAM_SCHEDULERS, 'engine')
