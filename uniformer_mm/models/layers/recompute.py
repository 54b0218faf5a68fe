"""Recomputing the activations of one block (activation checkpointing)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def _running_stats_frozen(block: nn.Module) -> Iterator[None]:
    """Let the BatchNorms of ``block`` run as in training without recording the batch."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm)]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # Not track_running_stats: recomputation must save the same tensors as the first run.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def checkpoint_block(block: nn.Module, *args: Any) -> Any:
    """Run ``block(*args)`` and recompute its activations in the backward pass.

    The second run must not move the BatchNorm statistics again, so that training with
    and without recomputation are the same computation.
    """
    if torch.compiler.is_compiling():
        # The compiler takes no contexts, and needs none: what it recomputes changes no buffer.
        return checkpoint(block, *args, use_reentrant=False)
    return checkpoint(
        block,
        *args,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _running_stats_frozen(block)),
    )
