"""A hook that writes each process's BatchNorm statistics, for the test of distributed training."""

import json
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class BufferRecorder(Hook):
    """Writes ``buffers_<rank>.json``: sums after the last training step and in evaluation."""

    def _record(self, runner, when: str) -> None:
        file = Path(runner.work_dir) / f'buffers_{runner.rank}.json'
        record = json.loads(file.read_text()) if file.exists() else {}
        record[when] = {
            name.removeprefix('module.'): buffer.double().sum().item()
            for name, buffer in runner.model.named_buffers()
            if 'running' in name
        }
        file.write_text(json.dumps(record))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._record(runner, 'train')

    def before_val_iter(self, runner, batch_idx, data_batch=None) -> None:
        self._record(runner, 'val')
