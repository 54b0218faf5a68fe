"""Training with parameters, gradients and optimizer states spread over the processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from uniformer_mm.checkpoints import through_safe_reader
from uniformer_mm.registry import STRATEGIES


@STRATEGIES.register_module()
class FullyShardedStrategy(DDPStrategy):
    """Fully sharded training of mmengine's ``FlexibleRunner``, with torch's ``fully_shard``.

    Each process keeps its part of every parameter, gradient and optimizer state, and collects the
    parameters when it computes with them. mmengine's ``FSDPStrategy`` does so with the older
    ``FullyShardedDataParallel``, which needs a GPU.

    Checkpoints are those of other runs: one file, with whole weights and optimizer states.

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
        model.register_load_state_dict_pre_hook(_spread_entries)
        return model

    def model_state_dict(self) -> dict[str, Any]:
        """The whole weights; all processes have to ask for them."""
        return tree_map(_collect, dict(self.model.state_dict()))

    def optim_state_dict(self) -> dict[str, Any]:
        """The whole state of the optimizer; all processes have to ask for it."""
        return tree_map(_collect, self.optim_wrapper.state_dict())

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this process's part of a whole state."""
        groups = zip(
            state_dict['param_groups'], self.optim_wrapper.optimizer.param_groups, strict=True
        )
        parameters = {
            number: parameter
            for found, own in groups
            for number, parameter in zip(found['params'], own['params'], strict=True)
        }
        states = {
            number: {name: _spread(value, parameters[number]) for name, value in state.items()}
            for number, state in state_dict['state'].items()
        }
        self.optim_wrapper.load_state_dict({**state_dict, 'state': states})

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


def _collect(value: Any) -> Any:
    """All parts of a tensor that is spread over the processes; anything else as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def _spread(value: Any, like: Tensor) -> Any:
    """A whole tensor spread as a parameter of its shape is; anything else as it is."""
    if isinstance(value, DTensor) or not isinstance(value, Tensor) or not isinstance(like, DTensor):
        return value
    if value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _spread_entries(module: nn.Module, state_dict: dict[str, Any], prefix: str, *args) -> None:
    """Spread the whole entries of a state dict that the module is about to load."""
    for name, parameter in module.named_parameters():
        if prefix + name in state_dict:
            state_dict[prefix + name] = _spread(state_dict[prefix + name], parameter)
