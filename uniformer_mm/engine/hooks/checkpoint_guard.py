"""A hook that makes MMEngine's loading strict and lets it read official files."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn

from uniformer_mm.checkpoints import (
    CLASS_ORDERS,
    CheckpointError,
    Differences,
    Weights,
    check_file,
    check_head_dim,
    known_class_order,
    parse_checkpoint,
    reorder_head,
    to_mm,
)
from uniformer_mm.registry import HOOKS

_STAGE_NORM = re.compile(r'backbone\.norm[1-4]\.')


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Check a checkpoint against the whole model before a run goes on with it.

    MMEngine's Runner loads ``load_from`` and ``resume`` files non-strictly: entries that do not
    fit are left out with a warning, and a file of another layout loads nothing at all. This hook
    rewrites the official and OpenMixup layouts to the one of the model in place, for the model
    and for every later hook (``EMAHook`` reads the same dict), and raises if an entry is missing,
    unexpected or of another shape. Renaming that a model does itself while it loads is respected.

    Only ``num_batches_tracked`` of BatchNorms may be missing. Only ``data_preprocessor.*`` (older
    files have its mean and std, which the config gives) and ``norm1`` .. ``norm4`` of stages that
    the backbone does not return (the authors' pose models have them without using them) may be left
    over. All are logged.

    Args:
        allow_new_head: Let entries of heads (modules with ``head`` in their name) be missing,
            left over or of another shape, to fine-tune on other classes. Not for ``resume``.
            Defaults to False.
        class_order: Says that the labels of the data are numbered as MMAction2's of
            ``'kinetics400'`` or ``'kinetics600'``, so that the classes of official files, which
            are numbered in another way, are brought into that order. Defaults to None, which
            leaves them as they are.
    """

    priority = 'VERY_HIGH'  # before EMAHook

    def __init__(self, allow_new_head: bool = False, class_order: str | None = None) -> None:
        if class_order not in (None, *CLASS_ORDERS):
            raise ValueError(
                f'class_order must be None or one of {", ".join(CLASS_ORDERS)}; got {class_order!r}'
            )
        self.allow_new_head = allow_new_head
        self.class_order = class_order

    def before_run(self, runner: Runner) -> None:
        """Refuse an unreadable file before the runner loads it.

        Raises:
            CheckpointError: If the file is missing, empty, truncated or no checkpoint, or if the
                config loads a whole UniFormer model through MMEngine's non-strict initialiser.
        """
        model = self._unwrap(runner.model)
        init_cfg = getattr(model, 'init_cfg', None)
        cfgs = init_cfg if isinstance(init_cfg, list) else [init_cfg or {}]
        if hasattr(getattr(model, 'backbone', None), 'head_dim') and any(
            cfg.get('type') == 'Pretrained' for cfg in cfgs
        ):
            raise CheckpointError(
                'model.init_cfg=dict(type="Pretrained", ...) would leave out what does not fit: '
                'use load_from for a whole model, or model.backbone.init_cfg for the backbone.'
            )
        path = self._path(runner)
        if path is not None and '://' not in path:
            check_file(Path(path).expanduser())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the checkpoint strictly before the runner does.

        Raises:
            CheckpointError: If it does not fit, or a run is to be resumed from bare weights.
        """
        source = self._path(runner) or 'The checkpoint'
        if runner._resume and not {'meta', 'message_hub'} <= checkpoint.keys():
            raise CheckpointError(
                f'{source} holds weights but no state of a training run, so nothing can be '
                'resumed from it: give it as load_from, without resume.'
            )
        self.load(self._unwrap(runner.model), checkpoint, source, runner._resume)

    def load(self, model: nn.Module, checkpoint: dict, source: str, resume: bool = False) -> None:
        """Bring a checkpoint to the layout of ``model`` in place and load it strictly.

        Args:
            model: The whole model.
            checkpoint: What the file holds.
            source: Name of the file, for messages.
            resume: Whether a training run continues, so that heads must fit in any case. Defaults
                to False.

        Raises:
            CheckpointError: Lists everything that does not fit.
        """
        own = model.state_dict()
        weights = parse_checkpoint(checkpoint, source)
        backbone = getattr(model, 'backbone', None)
        if backbone is None:
            state = {**weights.backbone, **weights.classifier, **weights.other}
        else:
            state = to_mm(self._order_classes(weights))
        if hasattr(backbone, 'head_dim'):
            check_head_dim(backbone, weights)

        differences = Differences.between(own, state)
        ignored = {key for kind in differences for key in kind if self._is_ignored(key, resume)}
        ignored |= {key for key in differences.unexpected if _STAGE_NORM.match(key)}
        for key in ignored:
            state.pop(key, None)
            # EMAHook swaps the two dicts name by name.
            checkpoint.get('ema_state_dict', {}).pop(f'module.{key}', None)
        self._load(model, state, ignored, source)
        if ignored:
            print_log(
                f'{source}: left over, or not in the file and at its initial value '
                f'({len(ignored)}): {", ".join(sorted(ignored))}',
                logger='current',
                level=logging.WARNING,
            )
        if 'state_dict' not in checkpoint:
            checkpoint.clear()
        checkpoint['state_dict'] = state

    def _order_classes(self, weights: Weights) -> Weights:
        """Number the classes of an official Kinetics head as the labels of the data are."""
        known = known_class_order(weights)
        if weights.layout != 'official' or known is None:
            return weights
        if self.class_order == known:
            print_log(
                f"{weights.source}: the head's classes were brought from the authors' order into "
                f"MMAction2's of {known}.",
                logger='current',
            )
            return reorder_head(weights, known, to_mmaction=True)
        print_log(
            f"{weights.source}: the head's classes keep the authors' order. If the labels of your "
            f"data are MMAction2's, set default_hooks.checkpoint_guard.class_order={known!r}.",
            logger='current',
            level=logging.WARNING,
        )
        return weights

    @staticmethod
    def _unwrap(model: nn.Module) -> nn.Module:
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        return model

    @staticmethod
    def _path(runner: Runner) -> str | None:
        """The file that the runner loads."""
        if runner._load_from is None and runner._resume:
            return find_latest_checkpoint(runner.work_dir)
        return None if runner._load_from is None else str(runner._load_from)

    def _is_ignored(self, key: str, resume: bool) -> bool:
        """Whether an entry may differ."""
        if key.endswith('.num_batches_tracked') or key.startswith('data_preprocessor.'):
            return True
        return self.allow_new_head and not resume and 'head' in key.split('.')[0]

    @staticmethod
    def _load(model: nn.Module, state: dict[str, Tensor], ignored: set[str], source: str) -> None:
        """Load all but ``ignored``; torch reports names after the model's own renaming."""
        own = model.state_dict()
        differences = Differences.between(own, state)
        error = ''
        if not differences.misshapen:
            try:
                missing, unexpected = model.load_state_dict(state, strict=False)
            except RuntimeError as mismatch:  # a shape that differs after renaming
                error = f'{mismatch}\n'
            else:
                differences = Differences(
                    missing={k: tuple(own[k].shape) for k in missing},
                    unexpected={k: tuple(state[k].shape) for k in unexpected if k in state},
                    misshapen={},
                )
        for key in ignored:
            differences.missing.pop(key, None)
        if differences or error:
            raise CheckpointError(
                f'{source} does not fit the model.\n{error}{differences.describe()}\n'
                'To load a backbone alone, use model.backbone.init_cfg=dict(type="Pretrained", '
                'checkpoint=...) instead of load_from. To train a new head, use '
                '--cfg-options default_hooks.checkpoint_guard.allow_new_head=True.'
            )
