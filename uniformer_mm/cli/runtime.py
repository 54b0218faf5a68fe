"""Fitting a config to the machine and the way it was started."""

from __future__ import annotations

import copy
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import MODELS, OPTIMIZERS, RUNNERS, DefaultScope
from mmengine.runner import Runner
from torch import nn

from uniformer_mm.checkpoints import load_file, load_model, resolve, through_safe_reader
from uniformer_mm.errors import UserError

from .brief import BriefRunner
from .libraries import library_of
from .messages import explain_registry

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
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

    A process that torchrun or tools/launch.py started ends with it. How long processes wait for
    each other is ``env_cfg.dist_cfg.timeout`` in seconds, or else the environment variable
    ``UNIFORMER_MM_TIMEOUT``, which tools/dist_train.sh sets.

    Returns:
        Notes for the log.

    Raises:
        UserError: If the launcher did not start this process, or the timeout is no number.
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
    if launcher == 'pytorch':
        _end_with_launcher()
    cfg.env_cfg.setdefault('dist_cfg', ConfigDict())
    if timeout := os.environ.get('UNIFORMER_MM_TIMEOUT'):
        if not timeout.isdecimal():
            raise UserError(f'TIMEOUT={timeout}: expected a number of seconds.')
        cfg.env_cfg.dist_cfg.setdefault('timeout', int(timeout))
    if has_accelerator():
        return []
    if launcher != 'pytorch':
        raise UserError(
            f'--launcher {launcher} needs a GPU in every process; without one, start the '
            'processes with torchrun (tools/dist_train.sh).'
        )
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    if not dist.is_initialized():
        timeout = cfg.env_cfg.dist_cfg.get('timeout')
        dist.init_process_group('gloo', timeout=timeout and timedelta(seconds=timeout))
    wrapper = cfg.get('model_wrapper_cfg') or ConfigDict(
        find_unused_parameters=cfg.get('find_unused_parameters', False), broadcast_buffers=False
    )
    cfg.model_wrapper_cfg = {**wrapper, 'type': 'uniformer_mm.CPUDistributedDataParallel'}
    return ['No GPU: the processes communicate over gloo.']


def _end_with_launcher() -> None:
    """Have the system kill this process when the one that started it ends, even by SIGKILL."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def set_loaders(cfg: Config, splits: tuple[str, ...], no_pin_memory: bool = False) -> None:
    """Complete the data loaders as the library's own tools do, and fit them to the machine.

    Args:
        cfg: The config.
        splits: Those of train, val, test that will be used.
        no_pin_memory: Pin no memory even with a GPU. Without one, none is pinned anyway.
    """
    for split in splits:
        if cfg.get(LOADERS[split]) is None:
            continue
        loader = ConfigDict({**copy.deepcopy(library_of(cfg).loader), **cfg[LOADERS[split]]})
        if no_pin_memory or not has_accelerator():
            loader.pin_memory = False
        if not loader.get('num_workers', 0):
            loader.persistent_workers = False
        cfg[LOADERS[split]] = loader


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
            raise UserError(explain_registry(kind, registry, 'optim_wrapper.optimizer'))


def build_runner(cfg: Config, notes: Sequence[str] = (), warnings: Sequence[str] = ()) -> Runner:
    """Build the runner and write what the preparations had to say into its log."""
    runner = BriefRunner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    if runner._load_from is not None:  # CheckpointGuardHook does it too, where there is one
        runner._load_from = through_safe_reader(runner._load_from)
    for note in notes:
        runner.logger.info(note)
    for warning in warnings:
        runner.logger.warning(warning)
    return runner


def class_order_of(cfg: Config) -> str | None:
    """How the config's ``CheckpointGuardHook`` says that official files number the classes."""
    return (cfg.get('default_hooks', {}).get('checkpoint_guard') or {}).get('class_order')


def build_trained(cfg: Config, checkpoint: str, device: str | None = None) -> nn.Module:
    """The model of a config in eval mode, with all its weights, for tools that are no test.

    Its ``dataset_meta`` is what the checkpoint knows of the training data.

    Args:
        cfg: The config.
        checkpoint: Weights of the whole model, in any layout.
        device: Where to run it. Defaults to None: a GPU if there is one.

    Raises:
        CheckpointError: If the weights cannot be read or do not fit.
    """
    model = copy.deepcopy(cfg.model)
    model.backbone.init_cfg = None  # the checkpoint has all weights
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        built = MODELS.build(model)
    weights = load_file(resolve(checkpoint))
    load_model(built, weights, checkpoint, class_order=class_order_of(cfg))
    built.dataset_meta = (weights.get('meta') or {}).get('dataset_meta') or {}
    return built.to(device or get_device()).eval()
