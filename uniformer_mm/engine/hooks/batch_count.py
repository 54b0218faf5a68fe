"""A run that would train nothing does not start."""

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS


def check_batch_count(runner: Runner) -> None:
    """See that the training loader of a runner has a batch for this process.

    Raises:
        UserError: With the number of samples, processes and samples in a batch.
    """
    loader = runner.train_dataloader
    count = len(loader.dataset)
    # It goes round in the data set, so that every batch is full; its length says nothing.
    endless = isinstance(loader.sampler, InfiniteSampler)
    if count and (endless or len(loader)):
        return
    if not count:
        raise UserError('The training data set is empty: there is nothing to train on.')
    size, share = loader.batch_size, len(loader.sampler)
    raise UserError(
        f'The training data set has {count} samples, {share} for each of {runner.world_size} '
        f'processes, and drop_last leaves out what does not fill a batch of {size}: there is '
        f'nothing to train on. Set train_dataloader.batch_size to {share} or less, start fewer '
        'processes, or set train_dataloader.drop_last=False.'
    )


@HOOKS.register_module()
class BatchCountHook(Hook):
    """Refuse to train where the training loader has no batch.

    mmengine trains nothing then, saves checkpoints all the same and ends as if all were well: a
    batch larger than the data set, or than the part of one process, with ``drop_last=True``.

    Raises:
        UserError: With the numbers, and what to change.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Count the batches."""
        if isinstance(runner._train_loop, BaseLoop):  # part of this run
            check_batch_count(runner)
