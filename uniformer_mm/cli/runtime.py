"""Fitting a config to the machine and the way it was started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS, OPTIMIZERS, RUNNERS
from mmengine.runner import Runner
from torch import nn

from ..errors import UserError
from .messages import explain_registry

LOADERS = {'train': 'train_dataloader', 'val': 'val_dataloader', 'test': 'test_dataloader'}


def set_work_dir(cfg: Config, config: str, work_dir: str | None) -> None:
    """The command line first, then the config, then the config's name."""
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(config).stem)


def type_name(cfg: dict) -> str:
    """The type of a component without its scope."""
    kind = cfg.get('type', '')
    return (kind if isinstance(kind, str) else kind.__name__).rpartition('.')[2]


def has_accelerator() -> bool:
    """Whether there is a GPU or another device on which mmengine trains in mixed precision."""
    return get_device() not in ('cpu', 'mps')


def prepare_runtime(cfg: Config, launcher: str, local_rank: int) -> list[str]:
    """Prepare the distributed run, if it is one.

    Without a GPU mmengine cannot start one: it selects a CUDA device and an NCCL group. Here the
    processes meet over gloo, and SyncBN, which needs a GPU, becomes BatchNorm.

    Returns:
        Notes for the log.

    Raises:
        UserError: If the launcher did not start this process.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    cfg.launcher = launcher
    cfg.setdefault('env_cfg', ConfigDict(dist_cfg={'backend': 'nccl'}))
    if launcher == 'none':
        return []
    started_by = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}
    if started_by[launcher] not in os.environ:
        raise UserError(
            f'--launcher {launcher}: the variable {started_by[launcher]} is not set, so this '
            'process was not started by that launcher. Use tools/dist_train.sh or '
            'tools/slurm_train.sh, or drop --launcher.'
        )
    if has_accelerator():
        return []
    if launcher != 'pytorch':
        raise UserError(
            f'--launcher {launcher} needs a GPU in every process; without one, start the '
            'processes with torchrun (tools/dist_train.sh).'
        )
    cfg.env_cfg.setdefault('dist_cfg', ConfigDict())
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    wrapper = cfg.get('model_wrapper_cfg') or ConfigDict(
        find_unused_parameters=cfg.get('find_unused_parameters', False), broadcast_buffers=False
    )
    cfg.model_wrapper_cfg = {**wrapper, 'type': CPUDistributedDataParallel.__name__}
    return ['No GPU: the processes communicate over gloo.']


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """Distributed training without a GPU: no device ids, and BatchNorm in place of SyncBN."""

    def __init__(self, module: nn.Module, device_ids: Any = None, **kwargs: Any) -> None:
        sync = (nn.SyncBatchNorm, *_mmcv_sync_bn())
        if count := sum(isinstance(m, sync) for m in module.modules()):
            print_log(f'No GPU: {count} SyncBN layers became BatchNorm.', logger='current')
            module = revert_sync_batchnorm(module)
        super().__init__(module, **kwargs)


def _mmcv_sync_bn() -> tuple[type[nn.Module], ...]:
    """mmcv's own SyncBN, if mmcv was built with its ops."""
    try:
        from mmcv.ops import SyncBatchNorm
    except ImportError:
        return ()
    return (SyncBatchNorm,)


def set_loaders(cfg: Config, splits: tuple[str, ...], no_pin_memory: bool = False) -> list[str]:
    """Complete the data loaders as the library's own tools do, and fit them to the machine.

    Args:
        cfg: The config.
        splits: Those of train, val, test that will be used.
        no_pin_memory: Pin no memory even with a GPU. Without one, none is pinned anyway.

    Returns:
        Notes for the log.
    """
    notes = []
    for split in splits:
        loader = cfg.get(LOADERS[split])
        if loader is None:
            continue
        if cfg.get('default_scope') == 'mmpretrain':
            loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
            loader.setdefault('pin_memory', True)
            loader.setdefault('persistent_workers', True)
        if no_pin_memory or not has_accelerator():
            loader.pin_memory = False
        if not loader.get('num_workers', 0):
            loader.persistent_workers = False
    train = cfg.get('train_dataloader')
    if 'train' in splits and train is not None and train.get('persistent_workers'):
        # See EpochSeedHook: a worker is seeded when it starts.
        train.persistent_workers = False
        notes.append('Training workers restart every epoch, so that a resumed run is the same run.')
    return notes


def set_hooks(cfg: Config, training: bool) -> None:
    """Add this project's hooks to a config that lacks them."""
    wanted = ['CheckpointGuardHook', *(['EpochSeedHook', 'FiniteLossHook'] if training else [])]
    if cfg.get('default_scope') == 'mmaction':
        wanted.append('VideoDataHook')
    hooks = list(cfg.get('custom_hooks') or [])
    present = {type_name(hook) for hook in hooks}
    hooks += [ConfigDict(type=f'uniformer_mm.{name}') for name in wanted if name not in present]
    cfg.custom_hooks = hooks


def set_amp(cfg: Config, amp: str | None) -> None:
    """Turn mixed precision on or off.

    Args:
        cfg: The config.
        amp: fp16, bf16, off, or None to leave the config as it is.

    Raises:
        UserError: If the optimizer wrapper is a special one, or mixed precision has no GPU.
    """
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None:
        raise UserError('The config has no optim_wrapper, so it cannot train.')
    kind = type_name(wrapper) or 'OptimWrapper'
    if amp is not None and kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp needs an OptimWrapper or AmpOptimWrapper; the config has a {kind}.')
    if amp == 'off':
        kind = wrapper.type = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
    elif amp == 'fp16':
        kind = wrapper.type = 'AmpOptimWrapper'
        wrapper.dtype = 'float16'
        wrapper.setdefault('loss_scale', 'dynamic')
    elif amp == 'bf16':
        kind = wrapper.type = 'AmpOptimWrapper'
        wrapper.dtype = 'bfloat16'
        wrapper.loss_scale = ConfigDict(enabled=False)  # bfloat16 has the range of float32
    if kind == 'AmpOptimWrapper' and not has_accelerator():
        name = {'bfloat16': 'bf16'}.get(wrapper.get('dtype'), 'fp16')
        raise UserError(
            f'This config trains in {name}, which needs a GPU; add --amp off to train in float32.'
        )


def check_optimizer(cfg: Config) -> None:
    """See that the optimizer exists; mmengine fails obscurely where it does not.

    Raises:
        UserError: If no library provides it.
    """
    kind = cfg.optim_wrapper.get('optimizer', {}).get('type')
    with OPTIMIZERS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        if isinstance(kind, str) and registry.get(kind) is None:
            raise UserError(explain_registry(f'{kind} is not in the mmengine::optimizer registry'))


def build_runner(cfg: Config, notes: list[str]) -> Runner:
    """Build the runner and write the notes of the preparations into its log."""
    runner = Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    for note in notes:
        runner.logger.info(note)
    return runner
