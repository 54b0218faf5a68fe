"""The learning-rate curve that UniFormer's image classifiers were trained with.

mmengine's ``LinearLR`` followed by ``CosineAnnealingLR`` starts the cosine where the warm-up
ends; timm's scheduler, which the authors used, starts it at epoch 0 and lets the warm-up hide
its beginning. The two differ by up to 1.5 % of the peak for 300 epochs with 5 of warm-up.
"""

import math

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType, _ParamScheduler

from uniformer_mm.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up over the start of one cosine that is never restarted.

    With ``t`` the number of finished steps, ``W = warmup`` and ``E = T_max``::

        t < W    warmup_lr + t * (lr - warmup_lr) / W
        t < E    eta_min + (lr - eta_min) * (1 + cos(pi * t / E)) / 2
        else     eta_min

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
        end (int): First step that is no longer scheduled. Defaults to none.
        last_step (int): Last finished step, to resume without a state dict. Defaults to -1.
        by_epoch (bool): Whether steps are epochs. Defaults to True.
        verbose (bool): Whether to print every new value. Defaults to False.

    Raises:
        ValueError: If ``warmup`` is not in ``[0, T_max)`` or ``lag`` is negative.
    """

    def __init__(
        self,
        optimizer: OptimizerType,
        T_max: int,
        warmup: int = 0,
        warmup_lr: float = 1e-6,
        eta_min: float = 1e-5,
        lag: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not 0 <= warmup < T_max:
            raise ValueError(f'warmup must be in [0, T_max={T_max}), got {warmup}')
        if lag < 0:
            raise ValueError(f'lag must be 0 or more, got {lag}')
        self.T_max = T_max
        self.warmup = warmup
        self.warmup_lr = warmup_lr
        self.eta_min = eta_min
        self.lag = lag
        super().__init__(
            optimizer, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose
        )

    def _get_value(self) -> list[float]:
        t = max(self.last_step - self.lag, 0)
        if t < self.warmup:
            return [
                self.warmup_lr + t * (lr - self.warmup_lr) / self.warmup for lr in self.base_values
            ]
        cosine = (1 + math.cos(math.pi * min(t, self.T_max) / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * cosine for lr in self.base_values]
