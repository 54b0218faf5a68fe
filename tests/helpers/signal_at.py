"""A hook that gives one process a signal, for the test of preemption."""

import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SignalAt(Hook):
    """Sends SIGUSR1 to the process of ``rank`` within iteration ``step``."""

    def __init__(self, step: int, rank: int) -> None:
        self.step, self.rank = step, rank

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if (runner.iter, runner.rank) == (self.step, self.rank):
            os.kill(os.getpid(), signal.SIGUSR1)
