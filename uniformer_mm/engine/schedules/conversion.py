"""Schedules in epochs that change every iteration."""

from uniformer_mm.errors import UserError


def check_conversion(by_epoch: bool, epoch_length: int) -> None:
    """See that epochs can be converted to iterations.

    Args:
        by_epoch: Whether the schedule is one in epochs.
        epoch_length: Iterations of an epoch.

    Raises:
        ValueError: If the schedule is in iterations already.
        UserError: If an epoch has no iteration. mmengine builds schedules before any hook runs.
    """
    if not by_epoch:
        raise ValueError('convert_to_iter_based=True is for a schedule in epochs')
    if epoch_length == 0:
        raise UserError(
            'There is nothing to train on: the training data, or the part of each process, does '
            'not fill a batch, and drop_last leaves out the rest. Lower '
            'train_dataloader.batch_size, or set train_dataloader.drop_last=False.'
        )
