"""What only a test needs: augmentation, speed, pictures, predictions."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from uniformer_mm.engine import FAST_DTYPES
from uniformer_mm.errors import UserError

from .libraries import library_of
from .runtime import type_name


class _FastAction(argparse.Action):
    """``--fast`` as the arguments of :func:`uniformer_mm.engine.fold_backbone`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        dtypes = sorted({*values} & {*FAST_DTYPES})
        if len(dtypes) > 1:
            parser.error(f'{option_string}: {" and ".join(dtypes)} exclude each other')
        setattr(namespace, self.dest, dict(compile='compile' in values, dtype=(*dtypes, None)[0]))


def add_fast_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--fast``."""
    parser.add_argument(
        '--fast',
        nargs='*',
        action=_FastAction,
        choices=['compile', *FAST_DTYPES],
        help='run the backbone folded, with the same results up to rounding; on request also '
        'compiled, and in bfloat16 or float16',
    )


def set_fast(cfg: Config, fast: dict[str, Any] | None) -> None:
    """Let the test fold the backbone, if ``--fast`` asks for it."""
    if fast is not None:
        hook = ConfigDict(type='uniformer_mm.FastInferenceHook', **fast)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]


def set_tta(cfg: Config) -> None:
    """Wrap the model for test-time augmentation and change the test pipeline.

    The config's ``tta_model`` and ``tta_pipeline`` are used, or else its library's default.

    Raises:
        UserError: If the config describes no test-time augmentation and there is no default.
    """
    library = library_of(cfg)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if library.tta is None and not (cfg.get('tta_model') and cfg.get('tta_pipeline')):
        raise UserError(f'--tta: the config has no tta_model and tta_pipeline.{library.tta_hint}')
    if not cfg.get('tta_model'):
        cfg.tta_model = library.tta.model
    if not cfg.get('tta_pipeline'):
        *steps, pack = copy.deepcopy(list(dataset.pipeline))
        pack.update(library.tta.pack)
        flips = [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}]
        cfg.tta_pipeline = [*steps, {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline

    # mmpretrain's EMAHook loads nothing into a wrapped model, without a word. Checkpoints written
    # with an EMAHook have the averaged weights where the runner looks, so the hook is not needed.
    hooks = list(cfg.get('custom_hooks') or [])
    averaging = [hook for hook in hooks if type_name(hook).endswith('EMAHook')]
    if any(hook.get('evaluate_on_ema') is False for hook in averaging):
        raise UserError('--tta tests the averaged weights; the EMAHook asks for the others.')
    cfg.custom_hooks = [hook for hook in hooks if hook not in averaging]


def set_visualization(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float, interval: int, tta: bool
) -> None:
    """Let the library's hook draw predictions in a window or into a folder.

    Raises:
        UserError: If the library's hook cannot draw them.
    """
    drawing = library_of(cfg).drawing
    if drawing is None:
        raise UserError(f'--show and --show-dir: {library_of(cfg).drawing_hint}')
    if tta and not drawing.with_tta:
        scope = library_of(cfg).scope
        raise UserError(f"--show and --show-dir: {scope}'s hook cannot draw with --tta.")
    cfg.setdefault('default_hooks', ConfigDict())
    hook = cfg.default_hooks.get('visualization') or ConfigDict(type=drawing.hook)
    hook.update({drawing.switch: True, 'show': show, 'wait_time': wait_time, 'interval': interval})
    cfg.default_hooks.visualization = hook
    if show_dir is None:
        return
    # mmdet and mmpose put a relative folder below the work dir: an absolute one stays.
    path = str(Path(show_dir).absolute())
    if drawing.folder is not None:
        hook[drawing.folder] = path
        return
    visualizer = cfg.get('visualizer') or ConfigDict(type=drawing.visualizer, name='visualizer')
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
    dump = ConfigDict(type=library_of(cfg).dump, out_file_path=file)
    cfg.test_evaluator = [*evaluators, dump]
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('evaluate_on_origin') and hook.get('evaluate_on_ema', True):
            hook.evaluate_on_origin = False
