"""A hook that makes MMEngine's loading strict and lets it read official files."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, find_latest_checkpoint

from uniformer_mm.checkpoints import (
    CLASS_ORDERS,
    SCHEME,
    CheckpointError,
    check_file,
    drop_program,
    load_model,
    local_path,
    through_safe_reader,
)
from uniformer_mm.checkpoints.training_state import (
    check_averaged,
    check_meta,
    check_optimizer,
    check_schedules,
    clean_message_hub,
)
from uniformer_mm.registry import HOOKS

from .models import unwrap


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

    What a run is resumed from beside weights, MMEngine takes over unseen: here it is compared with
    the run first, see :mod:`uniformer_mm.checkpoints.training_state`. A file whose text it would
    run as Python loses that text, and one that names files of other folders, which it would
    delete, loses these names.

    A run's own files say their head dimension, which no shape shows, in ``meta``.

    Args:
        allow_new_head: Let entries of heads (modules with ``head`` in their name) be missing,
            left over or of another shape, to fine-tune on other classes. Not for ``resume``.
            Defaults to False.
        class_order: Says that the labels of the data are numbered as MMAction2's of
            ``'kinetics400'``, ``'kinetics600'`` or ``'sthv1'``, so that the classes of official
            files, which are numbered in another way, are brought into that order. Defaults to
            None, which leaves them as they are.
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
        model = unwrap(runner.model)
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
        if runner._load_from is not None:
            path = local_path(str(runner._load_from).removeprefix(SCHEME))
            if path is not None:
                check_file(path)
            runner._load_from = through_safe_reader(runner._load_from)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the checkpoint strictly before the runner does.

        Raises:
            CheckpointError: If it does not fit, or is no state that the run can be resumed from.
        """
        source = str(runner._load_from or 'The checkpoint').removeprefix(SCHEME)
        drop_program(checkpoint)
        if runner._resume and isinstance(checkpoint, dict):
            self._check_training(runner, checkpoint, source)
        load_model(
            unwrap(runner.model),
            checkpoint,
            source,
            allow_new_head=self.allow_new_head and not runner._resume,
            class_order=self.class_order,
        )
        if runner._resume:
            averages = any(hasattr(hook, 'ema_model') for hook in runner.hooks)
            if averages != ('ema_state_dict' in checkpoint):
                raise CheckpointError(
                    f'{source} is of a run {"without" if averages else "with"} averaged weights, '
                    f'and this one is {"with" if averages else "without"}: give custom_hooks the '
                    'EMAHook of that run or none as it, or give the file as load_from, without '
                    'resume.'
                )
            if averages:
                check_averaged(checkpoint['ema_state_dict'], checkpoint['state_dict'], source)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """State what no tensor shape shows."""
        backbone = getattr(unwrap(runner.model), 'backbone', None)
        if hasattr(backbone, 'head_dim'):
            checkpoint['meta']['head_dim'] = backbone.head_dim

    @staticmethod
    def _check_training(runner: Runner, checkpoint: dict, source: str) -> None:
        """See that MMEngine can take over what there is beside the weights, and all of it."""
        meta = checkpoint.get('meta') if 'message_hub' in checkpoint else None
        check_meta(meta, source)
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done, most = ('epoch', loop.max_epochs) if by_epoch else ('iter', loop.max_iters)
        if meta[done] > most:
            raise CheckpointError(
                f'{source} has {done} {meta[done]} behind it, and the config ends at {most}: raise '
                f'train_cfg.max_{done}s, or give the file as load_from, without resume.'
            )
        folder = Path(runner.work_dir)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.out_dir not in (None, runner.work_dir):
                folder = Path(hook.out_dir, folder.name)
        clean_message_hub(checkpoint['message_hub'], folder, source)
        for entry, own, check in (
            ('optimizer', runner.optim_wrapper, check_optimizer),
            ('param_schedulers', runner.param_schedulers, check_schedules),
        ):
            if own is not None and entry not in checkpoint:
                raise CheckpointError(
                    f'{source} has no {entry}, so training would start anew with its weights: '
                    'resume from a file that is no best_*.pth, or give it as load_from, without '
                    'resume.'
                )
            # Other runners keep other things there, and Runner.resume alone builds them afterwards.
            built = isinstance(runner, Runner) and not isinstance(runner.optim_wrapper, dict)
            if built and own is not None:
                check(checkpoint[entry], own, source)
