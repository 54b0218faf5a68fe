"""A hook that writes each process's own losses, for the test of distributed training."""

import json
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class LossRecorder(Hook):
    """Writes ``losses_<rank>.json`` into the work dir."""

    def before_train(self, runner) -> None:
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append(float(outputs['loss']))

    def after_train(self, runner) -> None:
        file = Path(runner.work_dir) / f'losses_{runner.rank}.json'
        file.write_text(json.dumps(self.losses))
