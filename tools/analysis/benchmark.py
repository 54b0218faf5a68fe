"""Compare backbones, and ways of running them: time as a ratio, and peak memory.

    python tools/analysis/benchmark.py --arch small --style hybrid --shape 800 1280
    python tools/analysis/benchmark.py --arch small --shape 32 224 224
    python tools/analysis/benchmark.py --arch small xs xxs --ways fused all-tokens --batch 8
    python tools/analysis/benchmark.py --arch dualformer-tiny mmaction::recognition/swin/NAME.py \
        --shape 32 224 224
    python tools/analysis/benchmark.py --arch small torchvision::swin_t --ways fused amp --train

They are timed in turn, round after round in one process, so that a busy machine slows all
of them alike; the median of each is compared with the first. Peak memory is
that of one forward (and backward) pass beyond the weights; on a CPU every way runs in
a fresh process for it.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torchvision
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import get_installed_path
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from uniformer_mm import DualFormer, UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from uniformer_mm.analysis.timing import measure_times
from uniformer_mm.files import write_beside
from uniformer_mm.models.layers import OPS, STYLES, PatchEmbed

MIB = 2**20
WAYS = {
    'plain': 'attention written out and maps channels-first, as in the original code',
    'fused': 'scaled_dot_product_attention, the default',
    'checkpoint': 'fused, all blocks recomputed in the backward pass',
    'bf16': 'fused, under bfloat16 autocast',
    'amp': 'fused, under bfloat16 autocast, weights and inputs channels-last',
    'amp-compiled': 'amp, then torch.compile',
    'folded': 'fold_for_inference()',
    'folded-bf16': 'fold_for_inference(dtype=torch.bfloat16)',
    'compiled': 'fold_for_inference(compile=True)',
    'compiled-bf16': 'fold_for_inference(compile=True, dtype=torch.bfloat16)',
    'all-tokens': 'fused, without the shrinking of the light networks',
}
STOCK = 'as its library has it'  # what a network of another library is run as, and under AMP
AMP = ('amp', 'amp-compiled')

IMAGES: dict[str, type[UniFormer]] = {
    **dict.fromkeys(UniFormerLight.arch_zoo, UniFormerLight),
    **dict.fromkeys(UniFormer.arch_zoo, UniFormer),
}
DUAL = 'dualformer-'
VISION = 'torchvision::'
CLIPS: dict[str, type[UniFormer | DualFormer]] = {
    **dict.fromkeys(UniFormerLight3D.arch_zoo, UniFormerLight3D),
    **dict.fromkeys(UniFormer3D.arch_zoo, UniFormer3D),
    **{f'{DUAL}{arch}': DualFormer for arch in DualFormer.arch_zoo},
}

Entry = tuple[str, str]  # a network and a way


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--arch',
        nargs='+',
        default=['small'],
        metavar='NAME',
        help=f'of {", ".join(dict.fromkeys([*IMAGES, *CLIPS]))}; or a config of an OpenMMLab '
        'library, LIBRARY::PATH below its configs, whose backbone is run as it is; or the features '
        'of torchvision::NAME',
    )
    parser.add_argument(
        '--style', default='global', choices=STYLES, help='attention of stage 3 of a UniFormer'
    )
    parser.add_argument('--window-size', type=int, default=14)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=(224, 224),
        metavar='SIDE',
        help='H W of images, or T H W of clips (default: 224 224)',
    )
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--ways', nargs='+', default=['plain', 'fused', 'folded'], choices=WAYS)
    parser.add_argument('--train', action='store_true', help='forward and backward')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--json', metavar='FILE', help='also write the results here')
    args = parser.parse_args(argv)
    if len(args.shape) not in (2, 3):
        parser.error(f'--shape takes H W or T H W, got {args.shape}')
    known, kind = zoo(args), 'images' if len(args.shape) == 2 else 'clips'
    for arch in args.arch:
        if arch.startswith(VISION):
            if arch.removeprefix(VISION) not in torchvision.models.list_models(torchvision.models):
                parser.error(f'--arch {arch}: torchvision has no such network')
        elif '::' in arch and not (file := config_file(arch)).is_file():
            parser.error(f'--arch {arch}: there is no file {file}')
        if '::' not in arch and arch not in known:
            parser.error(f'--arch {arch} is not one of {kind}: {", ".join(known)}')
    inference_only = {way for way in args.ways if way.startswith(('folded', 'compiled'))}
    if args.train and inference_only:
        parser.error(f'--train excludes the inference-only ways {sorted(inference_only)}')
    return args


def zoo(args: argparse.Namespace) -> dict[str, type[UniFormer | DualFormer]]:
    """Our networks for images or for clips, by the shape."""
    return IMAGES if len(args.shape) == 2 else CLIPS


def config_file(arch: str) -> Path:
    """Where LIBRARY::PATH is installed."""
    library, _, path = arch.partition('::')
    return Path(get_installed_path(library), '.mim/configs', path)


def entries(args: argparse.Namespace) -> dict[str, Entry]:
    """What is compared, under a name."""
    compared = {}
    for arch in args.arch:
        if '::' in arch:  # named as its file, up to how it was trained
            name = arch.removeprefix(VISION)
            name = name if arch.startswith(VISION) else Path(arch).stem.partition('_')[0]
            compared[name] = arch, STOCK
            compared |= {f'{name} {way}': (arch, way) for way in args.ways if way in AMP}
            continue
        for way in args.ways:
            if way != 'all-tokens' or issubclass(zoo(args)[arch], UniFormerLight):
                compared[way if len(args.arch) == 1 else f'{arch} {way}'] = arch, way
    return compared


def backbone(args: argparse.Namespace, arch: str, way: str) -> nn.Module:
    """The network of this name, or that of another library."""
    if arch.startswith(VISION):
        return torchvision.models.get_model(arch.removeprefix(VISION)).features
    if '::' in arch:
        cfg = Config.fromfile(config_file(arch))
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            return MODELS.build(cfg.model.backbone)
    options = dict(fused_attn=way != 'plain', with_cp=way == 'checkpoint')
    if arch.startswith(DUAL):
        return DualFormer(arch.removeprefix(DUAL), clip_size=args.shape, **options)
    if way == 'all-tokens':
        options['keep_ratio'] = 1.0
    return zoo(args)[arch](arch, stage3_style=args.style, window_size=args.window_size, **options)


def write_out(model: nn.Module) -> None:
    """Compute as the original code does between attention and attention."""
    convs = {ops.pointwise: ops.conv for ops in OPS.values()}
    for module in model.modules():
        if type(module) in convs:
            module.__class__ = convs[type(module)]
        elif isinstance(module, PatchEmbed):
            module.register_forward_hook(lambda module, args, out: out.contiguous())


def build(args: argparse.Namespace, arch: str, way: str) -> Callable[[], None]:
    """One pass of a backbone, run the given way."""
    torch.manual_seed(0)
    model = backbone(args, arch, way).to(args.device)
    model.train(args.train)  # which returns nothing in mmaction's networks
    if way == 'plain':
        write_out(model)
    folded, _, dtype = way.partition('-')
    if folded in ('folded', 'compiled'):
        model = model.fold_for_inference(folded == 'compiled', torch.bfloat16 if dtype else None)
    x = torch.randn(args.batch, 3, *args.shape, device=args.device)
    if way in AMP:
        order = torch.channels_last if len(args.shape) == 2 else torch.channels_last_3d
        model, x = model.to(memory_format=order), x.contiguous(memory_format=order)
    if way == 'amp-compiled':
        model.compile()

    def run() -> None:
        autocast = torch.autocast(args.device, torch.bfloat16, enabled=way in ('bf16', *AMP))
        with autocast, torch.set_grad_enabled(args.train):
            outs: Tensor | tuple[Tensor, ...] = model(x)
        if args.train:
            outs = (outs,) if isinstance(outs, Tensor) else outs
            sum(out.float().mean() for out in outs).backward()
            model.zero_grad()
        if args.device != 'cpu':
            torch.cuda.synchronize()

    return run


def cpu_peak(args: argparse.Namespace, entry: Entry) -> float:
    """Growth of this process's resident size in one pass, in MiB (Linux)."""

    def resident(field: str) -> int:
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    run = build(args, *entry)
    Path('/proc/self/clear_refs').write_text('5')  # resets the peak, VmHWM
    before = resident('VmRSS')
    run()
    return (resident('VmHWM') - before) / 1024


def peak_memory(args: argparse.Namespace, entry: Entry, run: Callable[[], None]) -> float:
    """Peak memory of one pass beyond the weights, in MiB; on a GPU of ``run``, which is warm."""
    if args.device == 'cpu':
        # From a process that has imported this file and run nothing.
        with multiprocessing.get_context('forkserver').Pool(1) as pool:
            return pool.apply(cpu_peak, (args, entry))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / MIB


def measure(args: argparse.Namespace, memory: bool = True) -> dict[str, dict[str, float] | None]:
    """Time and memory of every entry; None where the memory of the GPU does not suffice.

    Args:
        args: Options of this tool.
        memory: Also measure the peak memory, which is 0 otherwise.
    """
    compared, peaks = entries(args), {}
    runs = {name: build(args, *entry) for name, entry in compared.items()}
    for name, entry in compared.items():
        try:
            runs[name]()  # a warm-up
            peaks[name] = peak_memory(args, entry, runs[name]) if memory else 0.0
        except torch.cuda.OutOfMemoryError:
            del runs[name]
        torch.cuda.empty_cache()  # behind the error, which keeps what did fit
    times = measure_times(runs, args.rounds)
    first = next(iter(times.values()), 0.0)
    return {
        name: dict(ms=times[name] * 1e3, speed=first / times[name], peak_mib=peaks[name])
        if name in times
        else None
        for name in compared
    }


def main() -> None:
    args = parse_args()
    compared, results = entries(args), measure(args)

    passes = 'forward + backward' if args.train else 'forward'
    size = 'x'.join(map(str, (args.batch, 3, *args.shape)))
    styled = any(issubclass(zoo(args).get(arch, nn.Module), UniFormer) for arch in args.arch)
    title = [*args.arch, *([args.style] if styled else []), size, passes, args.device]
    table = Table(title=', '.join(title))
    first = next((name for name, result in results.items() if result is not None), '')
    for column in ('', 'ms', f'speed / {first}', 'peak MiB', 'way'):
        table.add_column(column, justify='left' if column in ('way', '') else 'right')
    for name, result in results.items():
        numbers = ('out of memory', '', '')
        if result is not None:
            numbers = (f'{result["ms"]:.0f}', f'{result["speed"]:.2f}', f'{result["peak_mib"]:.0f}')
        table.add_row(name, *numbers, WAYS.get(way := compared[name][1], way))
    Console().print(table)
    if args.json:
        with write_beside(args.json) as part:
            part.write_text(json.dumps(results, indent=2))


if __name__ == '__main__':
    main()
