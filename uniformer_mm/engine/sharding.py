"""Training with parameters, gradients and optimizer states spread over the processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.model import revert_sync_batchnorm
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from uniformer_mm.checkpoints import through_safe_reader
from uniformer_mm.registry import STRATEGIES

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@STRATEGIES.register_module()
class FullyShardedStrategy(DDPStrategy):
    """Fully sharded training of mmengine's ``FlexibleRunner``, with torch's ``fully_shard``.

    Each process keeps its part of every parameter, gradient and optimizer state, and collects the
    parameters when it computes with them. mmengine's ``FSDPStrategy`` does so with the older
    ``FullyShardedDataParallel``, which needs a GPU.

    Checkpoints are those of other runs: one file with whole weights. The optimizer's state has the
    names of the parameters, so only a sharded run, with any number of processes, resumes from it.

    Args:
        units: Names of the classes of modules whose parameters are collected at their turn, such
            as blocks. Defaults to none: those of the whole model are collected at once.
        **kwargs: Arguments of mmengine's ``DDPStrategy``.
    """

    def __init__(self, *, units: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        if isinstance(model, FSDPModule):
            return model
        device = get_device()
        model = self.convert_model(model.to(device))
        if device == 'cpu':
            model = revert_sync_batchnorm(model)
        mesh = init_device_mesh(device, (get_world_size(),))
        for module in [m for m in model.modules() if type(m).__name__ in self.units]:
            fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)
        model.register_load_state_dict_pre_hook(_shard_entries)
        return model

    def model_state_dict(self) -> dict[str, Any]:
        """The whole weights in the first process, nothing in the others; all have to call it."""
        return get_model_state_dict(self.model, options=_WHOLE)

    def optim_state_dict(self) -> dict[str, Any]:
        """The whole state in the first process, nothing in the others; all have to call it."""
        return get_optimizer_state_dict(self.model, self.optim_wrapper.optimizer, options=_WHOLE)

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take each process's part of a whole state."""
        set_optimizer_state_dict(
            self.model, self.optim_wrapper.optimizer, state_dict, options=_WHOLE
        )

    def load_checkpoint(self, filename: str, **kwargs: Any) -> dict[str, Any]:
        """Load weights as :class:`~uniformer_mm.engine.CheckpointGuardHook` has them read.

        mmengine's ``FlexibleRunner`` loads before it calls the hook that sees to it.
        """
        return super().load_checkpoint(through_safe_reader(filename), **kwargs)

    def save_checkpoint(self, filename: str, *, save_optimizer: bool = True, **kwargs: Any) -> None:
        """Write one file; every process gives its parts."""
        if is_main_process():
            super().save_checkpoint(filename, save_optimizer=save_optimizer, **kwargs)
        else:
            self.model_state_dict()
            if save_optimizer:
                self.optim_state_dict()


def _shard_entries(module: nn.Module, state_dict: dict[str, Any], prefix: str, *args) -> None:
    """Give whole entries of a state dict the distribution of the module's parameters."""
    for name, parameter in module.named_parameters():
        value = state_dict.get(prefix + name)
        if isinstance(parameter, DTensor) and value is not None and not isinstance(value, DTensor):
            state_dict[prefix + name] = distribute_tensor(
                value.to(parameter.device), parameter.device_mesh, parameter.placements
            )
