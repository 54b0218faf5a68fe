"""Registries of scope ``uniformer_mm``.

Each is a child of the mmengine root of the same kind, so every OpenMMLab library
finds ``type='uniformer_mm.<name>'`` whatever its ``default_scope`` is.

Nothing is imported before somebody asks a registry for a type. Then its folder is, as those of the
libraries are. Types that extend a class of mmdet, mmpose or mmaction2 stand in modules that import
that library: their names are listed here, and each is imported when somebody asks for its type.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmengine.registry import DATA_SAMPLERS as ROOT_DATA_SAMPLERS
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODEL_WRAPPERS as ROOT_MODEL_WRAPPERS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import PARAM_SCHEDULERS as ROOT_PARAM_SCHEDULERS
from mmengine.registry import STRATEGIES as ROOT_STRATEGIES
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import VISUALIZERS as ROOT_VISUALIZERS
from mmengine.registry import Registry

SCOPE = 'uniformer_mm'


class LazyRegistry(Registry):
    """A child of a root registry, whose types are imported on demand.

    Args:
        root: The registry of mmengine.
        *folders: The folder below ``uniformer_mm`` that holds its types.
        **modules: For each type that needs another library its module below ``uniformer_mm``.
    """

    def __init__(self, root: Registry, *folders: str, **modules: str) -> None:
        locations = [f'{SCOPE}.{folder}' for folder in folders]
        super().__init__(root.name, parent=root, scope=SCOPE, locations=locations)
        self.modules = modules

    @property
    def module_dict(self) -> dict[str, type]:
        """All types by name, but for those that need another library and were not asked for."""
        self.import_from_location()
        return super().module_dict

    def get(self, key: str) -> type | None:
        """The type of this name.

        Raises:
            ImportError: If it extends a library that is not installed.
        """
        scope, name = self.split_scope_key(key)
        if scope in (None, SCOPE) and name in self.modules:
            try:
                import_module(f'{SCOPE}.{self.modules[name]}')
            except ModuleNotFoundError as error:
                library = (error.name or '').partition('.')[0]
                raise ImportError(
                    f'{SCOPE}.{name} needs {library}, which is not installed.'
                ) from error
        return super().get(key)


MODELS = LazyRegistry(
    ROOT_MODELS,
    'models',
    BoxTTAModel='models.box_tta',
    Float32I3DHead='models.heads.float32',
    Float32RoIExtractor='models.roi_extractors',
    LightClsHead='models.heads.light',
    LightHead3D='models.heads.light3d',
    TokenLabelClassifier='models.classifiers.token_label',
    TokenLabelHead='models.heads.token_label',
    TokenLabelHead3D='models.heads.token_label3d',
    TokenLabelRecognizer3D='models.recognizers.token_label',
)
TRANSFORMS = LazyRegistry(
    ROOT_TRANSFORMS,
    'datasets',
    AutoContrast='datasets.transforms.fast_images',
    Brightness='datasets.transforms.fast_images',
    ContiguousFlip='datasets.transforms.fast_images',
    Contrast='datasets.transforms.fast_images',
    Equalize='datasets.transforms.fast_images',
    LoadTokenLabel='datasets.transforms.token_labels',
    Solarize='datasets.transforms.fast_images',
    SolarizeAdd='datasets.transforms.fast_images',
    TableRandAugment='datasets.transforms.fast_images',
    TokenLabelFlip='datasets.transforms.token_labels',
    TokenLabelRandAugment='datasets.transforms.token_labels',
    TokenLabelRandomResizedCrop='datasets.transforms.token_labels',
)
DATA_SAMPLERS = LazyRegistry(ROOT_DATA_SAMPLERS, 'datasets')
DATASETS = LazyRegistry(
    ROOT_DATASETS,
    CheckedCocoDataset='datasets.detection',
    CheckedPoseDataset='datasets.pose',
    RepeatAugRawframeDataset='datasets.clips',
    RepeatAugVideoDataset='datasets.clips',
    ReportingRawframeDataset='datasets.clips',
    ReportingVideoDataset='datasets.clips',
    TokenLabelDataset='datasets.token_labels',
    TokenLabelImageNet='datasets.token_labels',
)
HOOKS = LazyRegistry(
    ROOT_HOOKS,
    'engine',
    ClsVisualizationHook='engine.hooks.cls_visualization',
    WarmupEMAHook='engine.hooks.averaging',
)
LOOPS = LazyRegistry(ROOT_LOOPS, 'engine')
METRICS = LazyRegistry(
    ROOT_METRICS,
    CheckedCocoMetric='datasets.detection',
    CheckedPoseMetric='datasets.pose',
)
MODEL_WRAPPERS = LazyRegistry(ROOT_MODEL_WRAPPERS, 'engine')
PARAM_SCHEDULERS = LazyRegistry(ROOT_PARAM_SCHEDULERS, 'engine')
STRATEGIES = LazyRegistry(ROOT_STRATEGIES, FullyShardedStrategy='engine.sharding')
VISUALIZERS = LazyRegistry(ROOT_VISUALIZERS, PoseLocalVisualizer='visualization')


@ROOT_MODELS.register_module()
def UniFormer(*args: Any, **kwargs: Any) -> Any:  # noqa: N802
    """The backbone under its bare name, as configs for mmdet and mmseg may write it."""
    return MODELS.get('UniFormer')(*args, **kwargs)
