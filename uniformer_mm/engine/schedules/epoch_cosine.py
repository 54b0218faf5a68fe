"""The learning-rate curve that DualFormer was trained with."""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType, _ParamScheduler

from uniformer_mm.arguments import COUNT, NOT_NEGATIVE, SHARE, check
from uniformer_mm.registry import PARAM_SCHEDULERS

from .conversion import check_conversion


@PARAM_SCHEDULERS.register_module()
class EpochCosineLR(LRSchedulerMixin, _ParamScheduler):
    """A cosine to 0 that changes once an epoch, below a warm-up that changes every iteration.

    The curve of DualFormer, whose library had its learning rate set by mmcv 1. With ``i`` finished
    iterations, ``e`` finished epochs of ``L`` iterations each, ``W = warmup`` and ``E = T_max``::

        lr * (1 + cos(pi * e / E)) / 2 * min(start_factor + (1 - start_factor) * i / (W * L), 1)

    The warm-up of mmengine's ``LinearLR`` is one iteration shorter. Where ``W * L`` is no whole
    number, mmcv kept its last value until the epoch ended, here it ends at once.

    Args:
        optimizer (Optimizer | OptimWrapper): The optimizer to drive.
        T_max (int): Epochs of the whole cosine, warm-up included.
        epoch_length (int): Iterations of an epoch; with ``convert_to_iter_based=True`` in a config
            the runner states it.
        warmup (float): Epochs of linear warm-up, fewer than ``T_max``. Defaults to 0.
        start_factor (float): Share of the rate with which warm-up starts. Defaults to 0.1.
        end (int): First iteration that is no longer scheduled. Defaults to none.
        last_step (int): Last finished iteration, to resume without a state dict. Defaults to -1.
        verbose (bool): Whether to print every new value. Defaults to False.

    Raises:
        ValueError: If ``warmup`` is not in ``[0, T_max)``, or another value is illegal.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        T_max: int,
        epoch_length: int,
        warmup: float = 0.0,
        start_factor: float = 0.1,
        end: int = INF,
        last_step: int = -1,
        verbose: bool = False,
    ) -> None:
        check(COUNT, T_max=T_max, epoch_length=epoch_length)
        check(NOT_NEGATIVE, warmup=warmup)
        check(SHARE, start_factor=start_factor)
        if warmup >= T_max:
            raise ValueError(f'warmup must be in [0, T_max={T_max}), got {warmup}')
        self.T_max = T_max
        self.epoch_length = epoch_length
        self.warmup = warmup
        self.start_factor = start_factor
        super().__init__(optimizer, end=end, last_step=last_step, by_epoch=False, verbose=verbose)

    @classmethod
    def build_iter_from_epoch(
        cls,
        optimizer: OptimizerType,
        epoch_length: int,
        end: int = INF,
        by_epoch: bool = True,
        **kwargs: Any,
    ) -> EpochCosineLR:
        """What ``convert_to_iter_based=True`` in a config asks for.

        Args:
            optimizer: The optimizer to drive.
            epoch_length: Iterations of an epoch.
            end: First epoch that is no longer scheduled. Defaults to none.
            by_epoch: Must be True.
            **kwargs: The other arguments of the class.
        """
        check_conversion(by_epoch, epoch_length)
        end = end if end == INF else end * epoch_length
        return cls(optimizer, epoch_length=epoch_length, end=end, **kwargs)

    def _get_value(self) -> list[float]:
        epoch = min(self.last_step // self.epoch_length, self.T_max)
        factor = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        rise = self.warmup * self.epoch_length
        if self.last_step < rise:
            factor *= self.start_factor + (1 - self.start_factor) * self.last_step / rise
        return [lr * factor for lr in self.base_values]
