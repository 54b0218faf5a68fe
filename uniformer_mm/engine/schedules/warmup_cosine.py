"""The learning-rate curves that UniFormer was trained with.

mmengine's ``LinearLR`` followed by ``CosineAnnealingLR`` starts the cosine where the warm-up
ends, as the authors' video training does; timm's scheduler, with which they trained the image
classifiers, starts it at epoch 0 and lets the warm-up hide its beginning. The two differ by up to
1.5 % of the peak for 300 epochs with 5 of warm-up. Here warm-up start and floor are absolute rates,
and the warm-up ends at its last step, where mmengine's ends one step earlier.
"""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType, _ParamScheduler

from uniformer_mm.arguments import COUNT, NATURAL, NOT_NEGATIVE, SHARE, check, check_flags
from uniformer_mm.registry import PARAM_SCHEDULERS

from .conversion import check_conversion


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up over the start of one cosine, or before it.

    With ``t`` the number of finished steps, ``W = warmup`` and ``E = T_max``::

        t < W    warmup_lr + t * (lr - warmup_lr) / W
        t < E    eta_min + (lr - eta_min) * (1 + cos(pi * t / E)) / 2
        else     eta_min

    With ``after_warmup`` the cosine's argument is ``pi * (t - W) / (E - W)``. With ``start_factor``
    the warm-up is part of the cosine times ``start_factor + (1 - start_factor) * t / W``, as in
    mmcv 1.

    ``lr`` is the rate of each parameter group after any automatic scaling with the batch size;
    ``warmup_lr`` and ``eta_min`` are absolute and never scaled. A step is an epoch, or an iteration
    with ``by_epoch=False``.

    Args:
        optimizer (Optimizer | OptimWrapper): The optimizer to drive.
        T_max (int): Steps of the whole cosine, warm-up included. Training may go on longer: the
            rate then stays at ``eta_min`` (timm's cool-down).
        warmup (int): Steps of linear warm-up, fewer than ``T_max``. Defaults to 0.
        warmup_lr (float): Rate of the first warm-up step. Defaults to 1e-6.
        eta_min (float): Rate at the end of the cosine. Defaults to 1e-5.
        lag (int): Steps by which the curve comes late. The authors' plain ImageNet script passes
            the number of the epoch just finished, so that epoch e runs at ``t = max(e - 1, 0)``:
            a lag of 1. Defaults to 0.
        after_warmup (bool): Whether the cosine begins where the warm-up ends, so that the peak is
            reached. Defaults to False.
        start_factor (float, optional): Share of the cosine with which the warm-up starts, in place
            of ``warmup_lr``. Defaults to None.
        end (int): First step that is no longer scheduled. Defaults to none.
        last_step (int): Last finished step, to resume without a state dict. Defaults to -1.
        by_epoch (bool): Whether steps are epochs. Defaults to True.
        verbose (bool): Whether to print every new value. Defaults to False.

    Raises:
        ValueError: If ``warmup`` is not in ``[0, T_max)``, or another value is illegal; if the
            cosine of ``start_factor`` is to begin ``after_warmup``.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        T_max: int,
        warmup: int = 0,
        warmup_lr: float = 1e-6,
        eta_min: float = 1e-5,
        lag: int = 0,
        after_warmup: bool = False,
        start_factor: float | None = None,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        check(COUNT, T_max=T_max)
        check(NATURAL, warmup=warmup, lag=lag)
        check(NOT_NEGATIVE, warmup_lr=warmup_lr, eta_min=eta_min)
        check_flags(after_warmup=after_warmup, by_epoch=by_epoch)
        if warmup >= T_max:
            raise ValueError(f'warmup must be in [0, T_max={T_max}), got {warmup}')
        self.T_max = T_max
        self.warmup = warmup
        self.warmup_lr = warmup_lr
        self.eta_min = eta_min
        if start_factor is not None:
            check(SHARE, start_factor=start_factor)
            if after_warmup:
                raise ValueError('a share of the cosine, start_factor, needs after_warmup=False')
        self.lag = lag
        self.start_factor = start_factor
        self.cosine_begin = warmup if after_warmup else 0
        super().__init__(
            optimizer, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose
        )

    @classmethod
    def build_iter_from_epoch(
        cls,
        optimizer: OptimizerType,
        T_max: int,
        epoch_length: int,
        warmup: int = 0,
        lag: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        **kwargs: Any,
    ) -> WarmupCosineLR:
        """The same curve stepped every iteration, for ``convert_to_iter_based=True`` in a config.

        Args:
            optimizer: The optimizer to drive.
            T_max: Epochs of the whole curve.
            epoch_length: Iterations of an epoch.
            warmup: Epochs of warm-up. Defaults to 0.
            lag: Epochs by which the curve comes late. Defaults to 0.
            end: First epoch that is no longer scheduled. Defaults to none.
            by_epoch: Must be True.
            **kwargs: The other arguments of the class.
        """
        check_conversion(by_epoch, epoch_length)
        return cls(
            optimizer,
            T_max=T_max * epoch_length,
            warmup=warmup * epoch_length,
            lag=lag * epoch_length,
            end=end if end == INF else end * epoch_length,
            by_epoch=False,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        t = max(self.last_step - self.lag, 0)
        if t < self.warmup and self.start_factor is None:
            return [
                self.warmup_lr + t * (lr - self.warmup_lr) / self.warmup for lr in self.base_values
            ]
        done = (min(t, self.T_max) - self.cosine_begin) / (self.T_max - self.cosine_begin)
        cosine = (1 + math.cos(math.pi * done)) / 2
        rates = [self.eta_min + (lr - self.eta_min) * cosine for lr in self.base_values]
        if t >= self.warmup:
            return rates
        factor = self.start_factor + (1 - self.start_factor) * t / self.warmup
        return [rate * factor for rate in rates]
