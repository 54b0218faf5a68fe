"""Randomness that a resumed run repeats exactly."""

from functools import partial

from mmengine.dataset import worker_init_fn
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from uniformer_mm.engine.seeds import derive_seed, seed_everything
from uniformer_mm.errors import UserError
from uniformer_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Derive all random numbers of an epoch from the seed, the epoch and the rank.

    mmengine's checkpoints do not hold the state of the random number generators, so a resumed
    run draws other drop paths, mixup partners and augmentations than the run it continues. With
    this hook it draws the same ones: the generators of Python, NumPy and torch are seeded at the
    start of every epoch, and so are the data workers. It also gives the workers new random
    numbers in each epoch, where mmengine's give the same ones when they are restarted.

    In iteration-based training, whose checkpoints may fall anywhere, the generators of the main
    process are seeded before every iteration. What the data workers draw repeats as well, with
    :class:`~uniformer_mm.engine.ResumableIterBasedTrainLoop` at once, with mmengine's own loop
    after it has loaded all past batches again.

    The training loader must not have ``persistent_workers``, because a worker is seeded when it
    starts. An epoch-based run resumed in the middle of an epoch (``CheckpointHook`` with
    ``by_epoch=False``) repeats that epoch from its beginning and so differs.
    """

    # Before the hooks that may draw random numbers, after RuntimeInfoHook.
    priority = 'HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed this process, and the workers that the coming epoch starts."""
        loader = runner.train_dataloader
        self._by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if not self._by_epoch:
            return
        if loader.persistent_workers:
            raise UserError(
                'EpochSeedHook seeds the data workers when they start: set '
                'train_dataloader.persistent_workers=False.'
            )
        seed = derive_seed(runner.seed, runner.epoch, runner.rank)
        seed_everything(seed)
        init = loader.worker_init_fn
        if isinstance(init, partial) and init.func is worker_init_fn:  # mmengine's, not the user's
            loader.worker_init_fn = partial(init, rank=0, seed=seed)  # the seed knows the rank

    def before_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Seed this process if epochs mean nothing to the training loop."""
        if not self._by_epoch:
            seed_everything(derive_seed(runner.seed, runner.iter, runner.rank))
