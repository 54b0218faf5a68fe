"""Test with the folded copy of a backbone."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from uniformer_mm.arguments import check_choice, check_flags
from uniformer_mm.errors import UserError
from uniformer_mm.models.backbones import StagedBackbone
from uniformer_mm.registry import HOOKS

from .models import unwrap

FAST_DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


def foldable_backbone(model: nn.Module) -> StagedBackbone:
    """The backbone of a model.

    Raises:
        UserError: If it is none of this project's.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, StagedBackbone):
        raise UserError(
            f'--fast and FastInferenceHook fold the backbones of uniformer_mm; this '
            f'{type(model).__name__} has {"none" if backbone is None else type(backbone).__name__}'
            ': run it without.'
        )
    return backbone


def fold_backbone(model: nn.Module, compile: bool = False, dtype: str | None = None) -> None:
    """Put the folded copy of a model's backbone in its place; see ``fold_for_inference()``.

    Args:
        model: A model of an MM library in eval mode, with all its weights.
        compile: Also compile it. Defaults to False.
        dtype: Also compute in ``'bf16'`` or ``'fp16'``. Defaults to None, for float32.

    Raises:
        UserError: If the backbone is none of this project's.
    """
    backbone = foldable_backbone(model)
    model.backbone = backbone.fold_for_inference(
        compile=compile, dtype=dtype and FAST_DTYPES[dtype]
    )


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Test with the folded copy of the backbone, which gives the same maps up to rounding.

    The copy is made at the first batch, when a checkpoint is loaded and an ``EMAHook`` has put the
    averaged weights in their place, and is gone at the end of the epoch, before it puts them back.
    Training and validation run the backbone itself.

    Args:
        compile: Also compile the copy. Defaults to False.
        dtype: Also compute in ``'bf16'`` or ``'fp16'``. Defaults to None, for float32.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    priority = 'VERY_HIGH'  # before EMAHook, whose second test begins behind the first epoch

    def __init__(self, compile: bool = False, dtype: str | None = None) -> None:
        check_flags(compile=compile)
        check_choice('dtype', dtype, (None, *FAST_DTYPES))
        self.compile, self.dtype = compile, dtype
        self.original: StagedBackbone | None = None

    def before_run(self, runner: Runner) -> None:
        """See that there is something to fold.

        Raises:
            UserError: If the backbone is none of this project's.
        """
        foldable_backbone(unwrap(runner.model))

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Fold at the first batch of every test."""
        if self.original is None:
            model = unwrap(runner.model)
            self.original = model.backbone
            fold_backbone(model, self.compile, self.dtype)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Put the backbone back."""
        if self.original is not None:
            unwrap(runner.model).backbone, self.original = self.original, None

    def after_test(self, runner: Runner) -> None:
        """Put it back behind the second test of an ``EMAHook``, of the weights not averaged."""
        self.after_test_epoch(runner)
