"""One training run in a work dir at a time."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from uniformer_mm.files import hold_folder, release_folder
from uniformer_mm.registry import HOOKS


@HOOKS.register_module()
class WorkDirLockHook(Hook):
    """Refuse to train in a work dir in which another run is training.

    Two runs would overwrite each other's checkpoints and mix their logs. The first process holds a
    lock on a file of the work dir until training ends, or until it dies, however that happens.

    Raises:
        UserError: Names the process that trains there.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Hold the work dir."""
        training = isinstance(runner._train_loop, BaseLoop)
        if training and runner.rank == 0 and not hold_folder(runner.work_dir):
            runner.logger.warning(
                f'The file system of {runner.work_dir} has no locks: nothing would keep a second '
                'training from running in it.'
            )

    def after_run(self, runner: Runner) -> None:
        """Leave it to others."""
        release_folder(runner.work_dir)
