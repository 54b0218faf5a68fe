"""What every network of four stages shares, whatever its blocks are."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.model.weight_init import PretrainedInit
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from uniformer_mm.architectures import NUM_STAGES
from uniformer_mm.arguments import NATURAL, RATE, check, check_choice, check_flags
from uniformer_mm.checkpoints import (
    CheckpointError,
    Weights,
    describe_weights,
    load_backbone,
    read_checkpoint,
)

from ..layers import checkpoint_block

Mix = Callable[[Tensor], Tensor]
MEMORY_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}
PRETRAINED = ('Pretrained', 'PretrainedInit', PretrainedInit)
# Arguments of ``load_backbone`` about weights that were read, but head_dim, which is the network's.
LOADING = ('adapt_stem', 'inflate', 'clip_kernels', 'allow_new_layer_scale')


def drop_path_ramp(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Stochastic depth of every block: growing linearly from 0 to ``rate`` over all stages.

    Raises:
        ValueError: If the rate is not in [0, 1).
    """
    check(RATE, drop_path_rate=rate)
    last = max(sum(depths) - 1, 1)
    firsts = [sum(depths[:stage]) for stage in range(len(depths))]
    return [
        [rate * i / last for i in range(first, first + depth)]
        for first, depth in zip(firsts, depths, strict=True)
    ]


class StagedBackbone(BaseModule):
    """Base of the backbones: four stages, each an embedding and blocks.

    A subclass builds ``patch_embed1``, ``blocks1``, ``norm1`` and so on for the first
    ``num_stages`` stages, and ``norm`` if ``final_norm`` is set, and then calls :meth:`_finish`.
    One whose modules have other names overrides :meth:`_embed`, :meth:`_blocks` and
    :meth:`_norm`; one whose stages have other parts, :meth:`_parts`; one whose stages pass on more
    than a map, :meth:`run_blocks`.

    Args:
        depths: Blocks of each stage.
        drop_rate: Dropout after the first embedding. Defaults to 0.
        out_indices: 0-based stages to return, increasing. Stages behind the last of
            them are not built. Defaults to ``(0, 1, 2, 3)``.
        final_norm: Put the norm ``norm`` on the last map and no norm on the others.
            Defaults to False.
        with_cp: Recompute activations in the backward pass: False, True for every
            block, or the number of leading blocks of each stage. Defaults to False.
        frozen_stages: -1 freezes nothing, 0 the first embedding, k the first k stages
            with their norms. Defaults to -1.
        norm_eval: Keep every BatchNorm in eval mode while training. Defaults to False.
        init_cfg: Initialisation; ``'Pretrained'`` loads strictly.

    Raises:
        ValueError: If an argument has an illegal value.
    """

    ndim: int  # axes of the maps: 2, or 3 for clips
    min_frames = 2

    def __init__(
        self,
        depths: Sequence[int],
        drop_rate: float = 0.0,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        final_norm: bool = False,
        with_cp: bool | Sequence[int] = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        check(RATE, drop_rate=drop_rate)
        check_flags(final_norm=final_norm, norm_eval=norm_eval)
        super().__init__(init_cfg)
        self.out_indices = _check_out_indices(out_indices, final_norm)
        self.num_stages = self.out_indices[-1] + 1
        self.final_norm = final_norm
        self.with_cp = _blocks_to_recompute(with_cp, tuple(depths))
        check_choice('frozen_stages', frozen_stages, range(-1, self.num_stages + 1))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.pos_drop = nn.Dropout(drop_rate)
        self._folded = False
        self._dtype: torch.dtype | None = None  # None is that of the input

    def _finish(self) -> None:
        """Initialise and freeze what the subclass has built."""
        self.apply(self._init_layer)
        for module in self._frozen_modules():
            module.eval().requires_grad_(False)

    @staticmethod
    def _init_layer(module: nn.Module) -> None:
        # Convolutions and norms keep PyTorch's defaults, as in the originals.
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)

    def init_weights(self) -> None:
        """Load ``init_cfg``'s checkpoint strictly, or run mmengine's initialisers."""
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg or {}]
        pretrained = [cfg for cfg in cfgs if cfg.get('type') in PRETRAINED]
        if self.is_init or not pretrained:
            super().init_weights()
            return
        if len(cfgs) > 1:
            raise ValueError(f"'Pretrained' must be the only initialiser; got {self.init_cfg!r}")
        load_backbone(self, **{k: v for k, v in pretrained[0].items() if k != 'type'})
        self.is_init = True

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | os.PathLike,
        *,
        download: bool | str | os.PathLike = False,
        ema: bool | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> StagedBackbone:
        """Build the network that fits a file, and load the file strictly.

        Its sizes are those of the file. All else has the defaults of the class: a ``UniFormer`` of
        a classifier's file returns four maps, with norms at their initial values;
        ``out_indices=(3,), final_norm=True`` gives the last one with the norm of the file.

        Args:
            checkpoint: A file of any layout, an address, or the name of a released file, which
                ``python -m uniformer_mm weights`` lists.
            download: Whether to fetch a name or address that was not fetched before: True into
                PyTorch's hub cache, or the folder to put it in. Defaults to False.
            ema: Which weights of a file with averaged ones; see
                :func:`~uniformer_mm.checkpoints.read_checkpoint`.
            prefix: Take only entries below this name. Defaults to None.
            **kwargs: Arguments of the network, and those of
                :func:`~uniformer_mm.checkpoints.load_backbone`. With ``arch``, no sizes are taken
                from the file.

        Raises:
            CheckpointError: If the file is missing, damaged, of another network, or does not fit.

        Examples:
            >>> model = UniFormer.from_pretrained('uniformer_small_in1k', download=True)
        """
        loading = {name: kwargs.pop(name) for name in LOADING if name in kwargs}
        weights = read_checkpoint(checkpoint, ema=ema, prefix=prefix, download=download)
        if 'arch' not in kwargs:
            kwargs = {**cls._sizes_of(weights, kwargs.get('head_dim')), **kwargs}
        backbone = cls(**kwargs)
        load_backbone(backbone, weights, head_dim=kwargs.get('head_dim'), **loading)
        backbone.is_init = True
        return backbone

    @classmethod
    def _sizes_of(cls, weights: Weights, head_dim: int | None) -> dict[str, Any]:
        """The arguments of the network that fits weights, but for what it returns."""
        network = describe_weights(weights, head_dim=head_dim)
        name = network.pop('type').rpartition('.')[2]
        ours = (kind for kind in cls.__mro__ if kind.__module__.startswith('uniformer_mm.'))
        own = next(ours).__name__
        if name not in (own, own.removesuffix('3D')):  # weights of images are inflated
            raise CheckpointError(
                f'{weights.source} is for {name}, not for {own}: {name}.from_pretrained(...).'
            )
        return {k: v for k, v in network.items() if k not in ('out_indices', 'final_norm')}

    # Parts of a stage

    def _parts(self, stage: int) -> Iterator[nn.Module]:
        """All modules of a stage but the norm of what it returns; each has ``fold()``."""
        yield self._embed(stage)
        yield from self._blocks(stage)

    def _embed(self, stage: int) -> nn.Module:
        return getattr(self, f'patch_embed{stage + 1}')

    def _blocks(self, stage: int) -> nn.ModuleList:
        return getattr(self, f'blocks{stage + 1}')

    def _norm(self, stage: int) -> nn.Module:
        """The norm on the map that ``stage`` returns."""
        if self.final_norm and stage == NUM_STAGES - 1:
            return self.norm
        return getattr(self, f'norm{stage + 1}', nn.Identity())

    def layers(self, stage: int) -> list[nn.Module]:
        """The blocks of a 0-based stage and, where its map is returned, the norm behind them."""
        norm = [self._norm(stage)] if stage in self.out_indices else []
        return [*self._blocks(stage), *norm]

    # What it is, in the words of timm and mmpretrain

    @property
    def num_features(self) -> int:
        """Channels of the last map."""
        return self.arch.embed_dims[self.num_stages - 1]

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Of each returned map its channels, the pixels of a side of its places, and its module."""
        names = {module: name for name, module in self.named_modules()}
        return [
            dict(
                num_chs=self.arch.embed_dims[stage],
                reduction=4 * 2**stage,
                module=names[self._blocks(stage)],
            )
            for stage in self.out_indices
        ]

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """How deep a parameter lies, for mmpretrain's learning rates that decay towards the input.

        The first embedding is layer 0, every block a layer, the embedding of a later stage belongs
        to the block before it, and norms of returned maps to the head.

        Args:
            param_name: Name of the parameter.
            prefix: What stands before the names of the backbone. Other names are of the head.

        Returns:
            The layer, and the number of layers.
        """
        depth, layers = 0, sum(self.arch.depths[: self.num_stages]) + 2
        if not param_name.startswith(prefix):
            return layers - 1, layers
        parameter = self.get_parameter(param_name.removeprefix(prefix))
        for stage in range(self.num_stages):
            if any(parameter is entry for entry in self._entry(stage)):
                return depth, layers
            for block in self._blocks(stage):
                depth += 1
                if any(parameter is own for own in block.parameters()):
                    return depth, layers
        return layers - 1, layers

    def _entry(self, stage: int) -> Iterator[nn.Parameter]:
        """Parameters of a stage that are in none of its blocks and in no norm."""
        yield from self._embed(stage).parameters()

    # Modes

    def set_grad_checkpointing(self, enable: bool | Sequence[int] = True) -> None:
        """Change what is recomputed in the backward pass.

        Args:
            enable: As ``with_cp``. Defaults to True, which is every block.
        """
        self.with_cp = _blocks_to_recompute(enable, tuple(self.arch.depths))

    def train(self, mode: bool = True) -> StagedBackbone:
        """Set the mode; frozen parts and, with ``norm_eval``, BatchNorms stay in eval."""
        if mode and self._folded:
            raise RuntimeError('a backbone made by fold_for_inference() cannot be trained')
        super().train(mode)
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield self._embed(0)
        for stage in range(self.frozen_stages):
            yield from self._parts(stage)
            yield self._norm(stage)

    # Forward

    def _check_input(self, x: Tensor) -> None:
        if self.ndim == 3 and (x.ndim != 5 or x.shape[2] < self.min_frames):
            raise ValueError(
                f'{type(self).__name__} takes clips (B, C, T, H, W) of at least {self.min_frames} '
                f'frames; got an input of shape {tuple(x.shape)}'
            )
        if any(side < 32 for side in x.shape[-2:]):
            raise ValueError(
                f'{type(self).__name__} reduces by 32 and needs sides of at least 32 pixels; '
                f'got an input of shape {tuple(x.shape)}'
            )

    def run_block(self, stage: int, index: int, *args: Any) -> Any:
        """Run one block of a stage; recompute its activations later if ``with_cp`` says so."""
        block = self._blocks(stage)[index]
        recompute = index < self.with_cp[stage] and self.training and torch.is_grad_enabled()
        return checkpoint_block(block, *args) if recompute else block(*args)

    def run_blocks(self, stage: int, x: Tensor, carried: Any = None) -> tuple[Tensor, Any]:
        """Run the blocks of a stage.

        Args:
            stage: 0-based stage.
            x: The map behind the embedding of the stage, (B, C, \\*S).
            carried: What the stage before handed on beside its map. Nothing here; a network
                with a class token or scores of tokens passes them through here.

        Returns:
            The map of the stage, without its norm, and what the next stage is to get beside it.
        """
        for index in range(len(self._blocks(stage))):
            x = self.run_block(stage, index, x)
        return x, carried

    def run_stages(self, x: Tensor, mix: Mix | None = None) -> tuple[tuple[Tensor, ...], Any]:
        """Run all stages; gives the returned maps and what the last stage hands on beside them."""
        self._check_input(x)
        dtype = x.dtype
        # The memory order of all maps: pointwise layers and norms read the channels of a place.
        x = x.to(self._dtype, memory_format=MEMORY_FORMATS[self.ndim])
        outs, carried = [], None
        for stage in range(self.num_stages):
            x = self._embed(stage)(x)
            if stage == 0:
                x = self.pos_drop(x)
                x = x if mix is None else mix(x)
            x, carried = self.run_blocks(stage, x, carried)
            if stage in self.out_indices:
                # mmcv's compiled ops misread channels-last maps.
                outs.append(self._norm(stage)(x).to(dtype).contiguous())
        return tuple(outs), carried

    def forward(self, x: Tensor, mix: Mix | None = None) -> Tensor | tuple[Tensor, ...]:
        """Map an input (B, C, \\*S) to the maps of the returned stages.

        Of clips, a single map is returned as a tensor, which is what MMAction2's heads expect.

        Args:
            x: The input.
            mix: Changes the map behind the first embedding, as a classifier does that mixes the
                tokens of a batch. Defaults to None.

        Raises:
            ValueError: If a side of the input is below 32 pixels, or a clip too short.
        """
        outs = self.run_stages(x, mix)[0]
        return outs[0] if self.ndim == 3 and len(outs) == 1 else outs

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map alone, with its norm, before any pooling."""
        last = self.run_stages(x)[0][-1]
        return last[0] if isinstance(last, tuple) else last  # a light network's class token

    # Inference

    def fold_for_inference(
        self, compile: bool = False, dtype: torch.dtype | None = None
    ) -> StagedBackbone:
        """Return an equivalent copy for inference only, equal up to rounding.

        BatchNorms in front of pointwise convolutions, those behind the convolutions of
        embeddings, the residuals of the position convolutions and the layer scales are
        folded into the weights. Sums and activations are computed in place, and on a CPU the
        hidden layers in pieces. Attention styles can still be switched.

        Args:
            compile: Compile the copy when it is first called; without gradients, its weights are
                those of that moment. Defaults to False.
            dtype: What the copy computes in; inputs and maps keep their own. Defaults to that of
                the weights.

        Raises:
            ValueError: If ``dtype`` is not of floating point.
        """
        if dtype is not None and not dtype.is_floating_point:
            raise ValueError(f'dtype must be a floating-point type; got {dtype}')
        folded = copy.deepcopy(self).eval()
        folded._folded = True
        folded._dtype = dtype
        for stage in range(folded.num_stages):
            for part in folded._parts(stage):
                part.fold()
        folded.to(dtype=dtype, memory_format=MEMORY_FORMATS[self.ndim]).requires_grad_(False)
        if compile:
            # Weights are constants then, in the order that the products of this CPU want.
            folded.compile(options={'freezing': True})
        return folded


def _check_out_indices(out_indices: Sequence[int], final_norm: bool) -> tuple[int, ...]:
    stages = isinstance(out_indices, Sequence) and all(map(NATURAL.allows, out_indices))
    indices = tuple(out_indices) if stages else ()
    if not indices or sorted(set(indices) & set(range(NUM_STAGES))) != list(indices):
        raise ValueError(
            f'out_indices must be increasing stage numbers from 0 to {NUM_STAGES - 1}; '
            f'got {out_indices!r}'
        )
    if final_norm and NUM_STAGES - 1 not in indices:
        raise ValueError(
            f'final_norm=True normalises the last map, so out_indices must hold '
            f'{NUM_STAGES - 1}; got {out_indices!r}'
        )
    return indices


def _blocks_to_recompute(with_cp: bool | Sequence[int], depths: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(with_cp, bool):
        return depths if with_cp else (0,) * NUM_STAGES
    whole = isinstance(with_cp, Sequence) and all(map(NATURAL.allows, with_cp))
    counts = tuple(with_cp) if whole else ()
    if len(counts) != NUM_STAGES or any(
        count > depth for count, depth in zip(counts, depths, strict=True)
    ):
        raise ValueError(
            f'with_cp must be True, False or {NUM_STAGES} block counts within the depths '
            f'{depths}; got {with_cp!r}'
        )
    return counts
