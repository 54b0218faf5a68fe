"""A hook that makes MMEngine's loading strict and lets it read official files."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner, find_latest_checkpoint
from torch import nn

from uniformer_mm.checkpoints import (
    CLASS_ORDERS,
    SCHEME,
    CheckpointError,
    check_file,
    load_model,
    local_path,
    through_safe_reader,
)
from uniformer_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Check a checkpoint against the whole model before a run goes on with it.

    MMEngine's Runner loads ``load_from`` and ``resume`` files non-strictly: entries that do not
    fit are left out with a warning, and a file of another layout loads nothing at all. This hook
    rewrites the official and OpenMixup layouts to the one of the model in place, for the model
    and for every later hook (``EMAHook`` reads the same dict), and raises if an entry is missing,
    unexpected or of another shape.

    The file itself is read by this project's reader, which runs no code from it and knows the
    names of released files; see :func:`uniformer_mm.checkpoints.load_model` for what may differ.

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
        """Refuse an unreadable file before the runner loads it, and have it read safely.

        Raises:
            CheckpointError: If the file is missing, empty, truncated or no checkpoint, or if the
                config loads a whole UniFormer model through MMEngine's non-strict initialiser.
        """
        if sum(isinstance(hook, CheckpointGuardHook) for hook in runner.hooks) > 1:
            raise CheckpointError(
                'There are two CheckpointGuardHooks, which may disagree: change '
                'default_hooks.checkpoint_guard instead of adding one to custom_hooks.'
            )
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
        if runner._resume and runner._load_from is None:
            runner._load_from = find_latest_checkpoint(runner.work_dir)
            if runner._load_from is not None:
                runner.logger.info(f'Resuming from the latest checkpoint {runner._load_from}.')
        source = runner._load_from
        if source is not None and not str(source).startswith(SCHEME):
            path = local_path(source)
            if path is not None:
                check_file(path)
            runner._load_from = through_safe_reader(source)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the checkpoint strictly before the runner does.

        Raises:
            CheckpointError: If it does not fit, or a run is to be resumed from bare weights.
        """
        source = str(runner._load_from or 'The checkpoint').removeprefix(SCHEME)
        if runner._resume and not {'meta', 'message_hub'} <= checkpoint.keys():
            raise CheckpointError(
                f'{source} holds weights but no state of a training run, so nothing can be '
                'resumed from it: give it as load_from, without resume.'
            )
        load_model(
            self._unwrap(runner.model),
            checkpoint,
            source,
            allow_new_head=self.allow_new_head and not runner._resume,
            class_order=self.class_order,
        )

    @staticmethod
    def _unwrap(model: nn.Module) -> nn.Module:
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        return model
