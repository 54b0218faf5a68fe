"""Parameters and multiply-adds of a model.

A multiply-add is counted for every product of a convolution, a linear layer and the two
products of attention; norms, activations and additions are not. This is the number that papers
print as "FLOPs". mmengine's and fvcore's counters do not see the products inside
``scaled_dot_product_attention`` and so report about 13 % too little for these networks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ['CLIP', 'DETECTOR', 'IMAGE', 'Complexity', 'ModuleCost', 'Task', 'count_complexity']

Forward = Callable[[nn.Module], Any]


@dataclass(frozen=True)
class ModuleCost:
    """Cost of one module with everything inside it."""

    params: int
    macs: int


@dataclass(frozen=True)
class Complexity:
    """Cost of a model for one input.

    Attributes:
        params: Number of parameters.
        trainable: Number of those that are trained.
        macs: Multiply-adds of one forward pass.
        modules: Cost of every sub-module by its dotted name, in the model's order.
    """

    params: int
    trainable: int
    macs: int
    modules: dict[str, ModuleCost]


def _math_attention() -> AbstractContextManager:
    """Let attention run as plain matrix products, which the counter sees on every device."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:  # torch < 2.3
        return torch.backends.cuda.sdp_kernel(enable_flash=False, enable_mem_efficient=False)
    return sdpa_kernel(SDPBackend.MATH)


def _num_params(module: nn.Module, trainable: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)


def count_complexity(model: nn.Module, forward: Forward, device: str = 'meta') -> Complexity:
    """Count the parameters of ``model`` and the multiply-adds of ``forward(model)``.

    The count is made in eval mode on a copy; ``model`` itself is not touched.

    Args:
        model: Any model.
        forward: Called once with the copy; makes the input and runs the network.
        device: Where to run. The default ``'meta'`` computes shapes only and takes no time, but
            serves only networks whose shapes do not depend on values.

    Returns:
        The cost of the whole model and of each module.

    Examples:
        >>> model = UniFormer('small', out_indices=(3,), final_norm=True)
        >>> cost = count_complexity(model, lambda m: m(torch.rand(1, 3, 224, 224, device='meta')))
        >>> round(cost.macs / 1e9, 2)
        3.63
    """
    params, trainable = _num_params(model), _num_params(model, trainable=True)
    # The counter follows gradients even where there are none, and fails at a parameter's view.
    model = copy.deepcopy(model).to(device).eval().requires_grad_(False)
    counter = FlopCounterMode(display=False)
    begun: dict[str, list[int]] = {}
    macs: dict[str, int] = {}

    def watch(name: str, module: nn.Module) -> None:
        def enter(*_: Any) -> None:
            begun.setdefault(name, []).append(counter.get_total_flops())

        def leave(*_: Any) -> None:
            spent = counter.get_total_flops() - begun[name].pop()
            macs[name] = macs.get(name, 0) + spent // 2  # the counter counts 2 per multiply-add

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)

    named = {name: module for name, module in model.named_modules() if name}
    for name, module in named.items():
        watch(name, module)
    with torch.no_grad(), _math_attention(), counter:
        forward(model)

    # Some heads are run through a method instead of a call, which no hook sees: their cost is
    # that of their children. Deepest first, so that the children are known.
    for name, module in reversed(named.items()):
        if name not in macs:
            macs[name] = sum(macs[f'{name}.{child}'] for child, _ in module.named_children())
    modules = {name: ModuleCost(_num_params(module), macs[name]) for name, module in named.items()}
    return Complexity(params, trainable, counter.get_total_flops() // 2, modules)


# -------------------------------------------------------------------------------------------------
# How the models of a task are run
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """How to run a complete model of the OpenMMLab libraries on one input.

    Attributes:
        run: Runs a model on a batch of one.
        sides: What the shape of an input is made of.
    """

    run: Callable[[nn.Module, Tensor], Any]
    sides: str = 'H W'

    def forward(self, shape: Sequence[int], in_channels: int = 3) -> Forward:
        """The ``forward`` for :func:`count_complexity`.

        Args:
            shape: As many numbers as there are :attr:`sides`.
            in_channels: Channels of the input. Defaults to 3.

        Raises:
            ValueError: If the shape has the wrong length.
        """
        if len(shape) != len(self.sides.split()):
            raise ValueError(f'The model takes a shape of {self.sides}, got {tuple(shape)}.')
        inputs = (1, in_channels, *shape)
        return lambda model: self.run(model, torch.zeros(inputs, device=_device(model)))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _run_image(model: nn.Module, x: Tensor) -> Any:
    return model(x, None, mode='tensor')


def _run_clip(model: nn.Module, x: Tensor) -> Any:
    return model(x[:, None], mode='tensor', stage='head')  # N, 1 view, C, T, H, W


def _run_detector(model: nn.Module, x: Tensor) -> Any:
    """A two-stage detector is run without its proposals, as papers count."""
    if not hasattr(model, 'roi_head'):
        from mmdet.structures import DetDataSample

        size = tuple(x.shape[-2:])
        meta = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape'), size)
        return model(x, [DetDataSample(metainfo=meta)], mode='tensor')
    maps = model.extract_feat(x)
    if model.with_rpn:
        model.rpn_head(maps)
    # Which regions there are depends on values; what they cost does not. These are the numbers of
    # mmdet 2.x, with which papers counted: regions for every box head, and for every mask head.
    for kind, num_regions in (('bbox', 1000), ('mask', 100)):
        heads = getattr(model.roi_head, f'{kind}_head', None) or []
        extractors = getattr(model.roi_head, f'{kind}_roi_extractor', None) or []
        if isinstance(heads, nn.Module) and not isinstance(heads, nn.ModuleList):
            heads, extractors = [heads], [extractors]
        for head, extractor in zip(heads, extractors, strict=True):
            side = extractor.roi_layers[0].output_size
            head(x.new_zeros(num_regions, extractor.out_channels, *side))
    return None


IMAGE = Task(_run_image)
CLIP = Task(_run_clip, sides='T H W')
DETECTOR = Task(_run_detector)
