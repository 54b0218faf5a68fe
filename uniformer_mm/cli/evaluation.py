"""What only a test needs: augmentation, pictures, predictions."""

from __future__ import annotations

import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict

from .config import LIBRARIES
from ..errors import UserError
from .runtime import type_name


def set_tta(cfg: Config) -> None:
    """Wrap the model for test-time augmentation and change the test pipeline.

    The config's ``tta_model`` and ``tta_pipeline`` are used. mmpretrain and mmdet configs without
    them get a horizontal flip.

    Raises:
        UserError: If the config describes no test-time augmentation and there is no default.
    """
    scope = cfg.get('default_scope')
    loader = cfg.test_dataloader
    dataset = loader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    models = {
        'mmpretrain': {'type': 'mmpretrain.AverageClsScoreTTA'},
        'mmdet': {
            'type': 'mmdet.DetTTAModel',
            'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
        },
    }
    if scope not in models and not (cfg.get('tta_model') and cfg.get('tta_pipeline')):
        hint = ' For pose use --cfg-options model.test_cfg.flip_test=True.' * (scope == 'mmpose')
        raise UserError(f'--tta: the config has no tta_model and tta_pipeline.{hint}')
    if not cfg.get('tta_model'):
        cfg.tta_model = models[scope]
    if not cfg.get('tta_pipeline'):
        *steps, pack = copy.deepcopy(list(dataset.pipeline))
        if scope == 'mmdet':
            pack.meta_keys = (
                *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
                *('flip', 'flip_direction'),
            )
        flips = [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}]
        cfg.tta_pipeline = [*steps, {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline

    # mmpretrain's EMAHook loads nothing into a wrapped model, without a word. Checkpoints written
    # with an EMAHook have the averaged weights where the runner looks, so the hook is not needed.
    hooks = list(cfg.get('custom_hooks') or [])
    averaging = [hook for hook in hooks if type_name(hook) == 'EMAHook']
    if any(hook.get('evaluate_on_ema') is False for hook in averaging):
        raise UserError('--tta tests the averaged weights; the EMAHook asks for the others.')
    cfg.custom_hooks = [hook for hook in hooks if hook not in averaging]


def set_visualization(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float, interval: int, tta: bool
) -> None:
    """Let the library's hook draw predictions in a window or into a folder.

    The hooks name their arguments differently; see :data:`LIBRARIES`.

    Raises:
        UserError: If the config is for an unknown library, or its hook cannot draw.
    """
    scope = cfg.get('default_scope')
    if scope not in LIBRARIES:
        raise UserError(f'--show and --show-dir serve {", ".join(LIBRARIES)}, not {scope!r}.')
    if scope == 'mmaction':
        raise UserError(
            "--show and --show-dir: mmaction2's VisualizationHook cannot draw clips (it passes its "
            'visualizer an argument that does not exist). tools/visualization/clip_grid.py draws '
            'the predictions of --dump.'
        )
    if tta and scope == 'mmpretrain':
        raise UserError("--show and --show-dir: mmpretrain's hook cannot draw with --tta.")
    kind, switch, folder = LIBRARIES[scope].visualization
    cfg.setdefault('default_hooks', ConfigDict())
    hook = cfg.default_hooks.get('visualization') or ConfigDict(type=kind)
    hook.update({switch: True, 'show': show, 'wait_time': wait_time, 'interval': interval})
    cfg.default_hooks.visualization = hook
    if show_dir is None:
        return
    # mmdet and mmpose put a relative folder below the work dir: an absolute one stays.
    path = str(Path(show_dir).absolute())
    if folder is not None:
        hook[folder] = path
        return
    visualizer = cfg.get('visualizer') or ConfigDict(type='SegLocalVisualizer', name='visualizer')
    visualizer.save_dir = path
    if not any('LocalVisBackend' in str(b.get('type')) for b in visualizer.get('vis_backends', [])):
        visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    cfg.visualizer = visualizer


def add_dump(cfg: Config, file: str) -> None:
    """Let the test write its predictions into a pickle file.

    Where mmpretrain's EMAHook would test both the averaged and the raw weights, only the averaged
    are tested: the second test would write over the predictions of the first.
    """
    evaluators = cfg.test_evaluator
    evaluators = list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]
    library = LIBRARIES.get(cfg.get('default_scope'))
    kind = library.dump if library else 'DumpResults'
    cfg.test_evaluator = [*evaluators, ConfigDict(type=kind, out_file_path=file)]
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('evaluate_on_origin') and hook.get('evaluate_on_ema', True):
            hook.evaluate_on_origin = False
