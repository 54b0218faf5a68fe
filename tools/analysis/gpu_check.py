"""Check this project on a GPU and measure it there, in under 8 minutes.

    make gpu-check
    python tools/analysis/gpu_check.py --device cpu --quick      # tries the tool itself

First whether results are right: each check has a limit, and if one fails the exit status is 1. Then
throughput and peak memory, plain and fast, beside torchvision's networks. What is not installed,
does not fit into memory or would take too long is listed as such.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils.dl_utils import collect_env
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

sys.path.append(str(Path(__file__).resolve().parents[1] / 'demo'))
sys.path.append(str(Path(__file__).resolve().parents[2] / 'tests/helpers'))
import benchmark
from golden import golden_backbones, relative_error

from uniformer_mm import UniFormer, UniFormer3D, cli
from uniformer_mm.engine import FAST_DTYPES, fold_backbone
from uniformer_mm.files import write_beside
from uniformer_mm.models.layers import STYLES

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
CLASSIFIER = CONFIGS / 'uniformer-mini_1xb32_digits.py'
DETECTOR = CONFIGS / 'mask-rcnn_uniformer-mini-h_fpn_coco-digits.py'
ACCURACY = 95.0  # what `make demo` asks of the classifier
# Largest error of the golden values, relative to the largest entry; a CPU has 6e-7, 9e-3, 1.2e-3.
GOLDEN = {'fp32': 1e-5, 'bf16': 3e-2, 'fp16': 5e-3}
SAME = 1e-4  # float32 on the device and float64 on the CPU, gradients included
SECONDS = 380  # after which no measurement is begun
LATE, FULL = 'no time left', 'out of memory'
FAST = dict(inference='folded-bf16', training='amp')
COMPILED = dict(inference='compiled-bf16', training='amp-compiled')
CASE = ('input', 'mode', 'network', 'way')
OTHERS = ('torchvision::swin_t', 'torchvision::convnext_tiny')

Findings = Iterator[tuple[str, str, bool]]
Row = dict[str, Any]


class Result(NamedTuple):
    """What a check found; ``passed`` is None if it was skipped."""

    check: str
    what: str
    found: str
    passed: bool | None


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument('--quick', action='store_true', help='tiny sizes, fewer of them')
    parser.add_argument(
        '--json', default='work_dirs/gpu_check.json', metavar='FILE', help='default: %(default)s'
    )
    args = parser.parse_args()
    if (args.device == 'cuda') != torch.cuda.is_available():  # mmengine uses a GPU it sees
        parser.error(
            'torch sees no GPU: only --device cpu is possible'
            if args.device == 'cuda'
            else 'hide the GPU, too, for --device cpu: CUDA_VISIBLE_DEVICES="" python ...'
        )
    return args


def use_tf32(on: bool) -> None:
    """Let float32 products round to TF32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = on


# Checks: each yields what was looked at and a result.


def within(what: str, error: float, limit: float) -> tuple[str, str, bool]:
    """A result that is an error."""
    return what, f'{error:.1e}, limit {limit:.0e}', error <= limit


def maps(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The maps of a network, whose only one is a tensor if they are of clips."""
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def golden_values(device: str, quick: bool) -> Findings:
    """What the original networks gave, by autocast, and folded and cast."""
    for name, build in golden_backbones():
        if quick and name != 'small_hybrid14_128x192':
            continue
        model, x, expected = build()
        model, x = model.float().to(device), x.float().to(device)
        for kind, limit in GOLDEN.items():
            dtype = FAST_DTYPES.get(kind)
            if quick and dtype is not None:
                continue
            for how, network in (('', model), (', folded', model.fold_for_inference(dtype=dtype))):
                under = dtype is not None and network is model
                with torch.no_grad(), torch.autocast(device, dtype, enabled=under):
                    outputs = maps(network(x))
                error = max(map(relative_error, outputs, expected))
                yield within(f'{name}, {kind}{how}', error, limit)


def step(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The maps of a training step, and the gradients of all weights."""
    outputs = maps(model(x))
    sum((out * out.roll(1, 1)).mean() for out in outputs).backward()
    return [*outputs, *(p.grad for p in model.parameters() if p.grad is not None)]


def error_of(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest error, relative to the largest entry of its tensor."""
    pairs = zip(found, expected, strict=True)
    return max(((a.cpu() - b).abs().max() / b.abs().max().clamp(min=1e-3)).item() for a, b in pairs)


def steps(device: str, ways: Sequence[str], styles: Sequence[str]) -> Findings:
    """Training steps in some ways against plain ones in float64 on the CPU."""
    networks = ((UniFormer, (2, 3, 64, 96)), (UniFormer3D, (2, 3, 4, 64, 64)))
    for (network, shape), style in product(networks, styles):
        torch.manual_seed(0)
        options = dict(stage3_style=style, window_size=3)
        plain, x = network('mini', **options, fused_attn=False), torch.randn(shape)
        state, expected = copy.deepcopy(plain.state_dict()), step(plain.double(), x.double())
        for way in ways:
            model = network('mini', **options, with_cp=way == 'with_cp').to(device)
            model.load_state_dict(state)
            x = x.to(device)
            if way == 'channels-last':
                order = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
                model, x = model.to(memory_format=order), x.contiguous(memory_format=order)
            if way == 'compiled':
                torch.compiler.reset()
                backend = 'inductor' if device == 'cuda' else 'eager'
                model = torch.compile(model, fullgraph=True, backend=backend)
            error = error_of(step(model, x), expected)
            yield within(f'{network.__name__}, {style}, {way}', error, SAME)


def styles(device: str, quick: bool) -> Findings:
    """Each style, for images and clips, as it is, channels-last and recomputed."""
    yield from steps(device, ('eager', 'with_cp', 'channels-last'), STYLES)


def compiled(device: str, quick: bool) -> Findings:
    """The same, compiled without a graph break."""
    yield from steps(device, ('compiled',), STYLES[-1:] if quick else STYLES)


def training(device: str, quick: bool) -> Findings:
    """The classifier of `make demo`, in mixed precision on a GPU, then tested folded."""
    import make_mini

    dtype, splits = None, ('train', 'val', 'test')
    if device == 'cuda':
        dtype = 'bf16' if torch.cuda.get_device_capability() >= (8, 0) else 'fp16'
    with TemporaryDirectory() as folder:
        make_mini.make('imagenet', Path(folder), counts=dict(train=64, val=20) if quick else None)
        options = {'log_level': 'WARNING', 'work_dir': folder}
        for split in splits:
            options[f'{split}_dataloader.dataset.data_root'] = f'{folder}/imagenet'
            options[f'{split}_dataloader.num_workers'] = 0 if quick else min(8, os.cpu_count())
        if quick:
            options['train_cfg.max_epochs'] = 1
        cfg, _ = cli.load_config(str(CLASSIFIER), options)
        cli.set_amp(cfg, dtype or 'off')
        cli.set_fast(cfg, dict(compile=False, dtype=dtype))
        cli.set_loaders(cfg, splits)
        runner = cli.build_runner(cfg)
        runner.train()
        score = runner.test()['accuracy/top1']
    limit = 0.0 if quick else ACCURACY
    yield 'mini classifier, top-1', f'{score:.1f} %, limit {limit:.0f}', score >= limit


def one_process(device: str, quick: bool) -> Findings:
    """A distributed training step of one process has the same gradients."""
    model, x = UniFormer('mini').to(device), torch.randn(2, 3, 64, 64, device=device)
    expected = [tensor.detach().cpu().clone() for tensor in step(model, x)]
    model.zero_grad()
    backend = 'nccl' if device == 'cuda' else 'gloo'
    store = dist.TCPStore('127.0.0.1', 0, 1, is_master=True)
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        yield within(backend, error_of(step(DistributedDataParallel(model), x), expected), SAME)
    finally:
        dist.destroy_process_group()


def detection(device: str, quick: bool) -> Findings:
    """mmcv's ops against those of the CPU, and the mini detector."""
    from mmcv.ops import get_compiling_cuda_version, nms, roi_align

    if device == 'cuda' and get_compiling_cuda_version() == 'not available':
        raise ModuleNotFoundError(name='mmcv with ops for CUDA')
    corners = 60 * torch.rand(50, 2)
    boxes = torch.cat([corners, corners + 5 + 30 * torch.rand(50, 2)], 1)
    rois = torch.cat([torch.zeros(50, 1), boxes], 1)
    features, scores = torch.randn(1, 8, 25, 25), torch.rand(50)
    found, expected = (
        [roi_align(features.to(d), rois.to(d), 7, 0.25), nms(boxes.to(d), scores.to(d), 0.5)[0]]
        for d in (device, 'cpu')
    )
    yield within('roi_align, nms', error_of(found, expected), SAME)

    from mmdet.testing import demo_mm_inputs

    cfg, _ = cli.load_config(str(DETECTOR), {'model.backbone.init_cfg': None})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model).to(device)
        data = demo_mm_inputs(2, [(3, 128, 160)] * 2, [3, 3], with_mask=True, device=device)
        inputs = model.data_preprocessor(data, training=True)
        loss, _ = model.parse_losses(model(**inputs, mode='loss'))
        loss.backward()
        finite = all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        yield 'mini Mask R-CNN, gradients', f'loss {loss.item():.2f}', finite
        fold_backbone(model.eval())
        with torch.no_grad():
            samples = model.test_step(data)
    count = sum(len(sample.pred_instances) for sample in samples)
    yield 'mini Mask R-CNN, folded', f'{count} objects', len(samples) == 2


def first_line(error: Exception) -> str:
    """What an error says; all of it goes to standard error."""
    traceback.print_exception(error)
    return f'{type(error).__name__}: {error}'.splitlines()[0]


def run_check(check: Callable[[str, bool], Findings], device: str, quick: bool) -> Iterator[Result]:
    """The results of a check; an error of any kind is one of them."""
    name = check.__name__.replace('_', ' ')
    print(f'checking {name}', file=sys.stderr)
    try:
        with redirect_stdout(sys.stderr):  # the libraries' log is not the report
            yield from (Result(name, *finding) for finding in check(device, quick))
    except ModuleNotFoundError as error:
        yield Result(name, '', f'{error.name} is not installed', None)
    except Exception as error:  # the other checks go on
        yield Result(name, '', first_line(error), False)


# Measurements


def settings(quick: bool) -> Iterator[tuple[str, list[str]]]:
    """What is measured, the small network first: a name, and options of the benchmark."""
    if quick:
        yield '64', ['--arch', 'mini', '--shape', '64', '64', '--rounds', '1']
        return
    for arch in ('small', 'base'):
        others = OTHERS if arch == 'small' else ()
        for batch in (64, 256):
            yield f'224, batch {batch}', ['--batch', f'{batch}', '--arch', arch, *others]
        for style in ('hybrid', 'global', 'window'):
            shape = ['--shape', '800', '1280', '--batch', '2', '--style', style]
            beside = others if style == 'hybrid' else ()
            yield f'800 x 1280, batch 2, {style}', [*shape, '--arch', arch, *beside]
        for frames in (16, 32):
            shape = ['--shape', f'{frames}', '224', '224', '--batch', '4']
            yield f'{frames} frames, batch 4', [*shape, '--arch', arch]


def measure(device: str, quick: bool, deadline: float) -> Iterator[Row]:
    """Rows with ``ms`` of a pass, ``per_second`` and ``peak_mib``, or with what is ``missing``."""
    use_tf32(True)
    torch.backends.cudnn.benchmark = True  # as in the configs
    # Compiling takes longest, so it comes last, and ours alone.
    stages = (False,) if quick else (False, True)
    for compiling, (setting, options), mode in product(stages, settings(quick), FAST):
        ways = ['plain', 'fused', *([] if quick else ['amp', FAST[mode]])]
        if compiling:
            ways = [COMPILED[mode]]
            options = [option for option in options if option not in OTHERS]
        flags = ['--device', device, '--ways', *ways, *(['--train'] if mode == 'training' else [])]
        args = benchmark.parse_args([*options, *flags])
        rows = {
            name: dict(input=setting, mode=mode, network=arch.rpartition('::')[2], way=way)
            for name, (arch, way) in benchmark.entries(args).items()
        }
        found, missing = dict.fromkeys(rows), LATE
        if time.monotonic() < deadline:
            print(f'measuring {setting}, {mode}, {", ".join(rows)}', file=sys.stderr)
            missing = FULL
            try:
                found = benchmark.measure(args, memory=device == 'cuda')
            except Exception as error:  # the other inputs go on
                missing = first_line(error)
        for name, row in rows.items():
            if found[name] is None:
                yield dict(row, missing=missing)
            else:
                ms, peak = found[name]['ms'], found[name]['peak_mib']
                yield dict(row, ms=ms, per_second=args.batch / ms * 1e3, peak_mib=peak)
        torch.compiler.reset()


def compare(rows: list[Row]) -> Iterator[tuple[str, float, float]]:
    """What the fast way is meant to reach; each a text, what was found and the bar."""
    have = {tuple(row[key] for key in CASE): row for row in rows if 'missing' not in row}
    for (setting, mode, network, way), row in have.items():
        plain = have.get((setting, mode, network, 'plain'))
        swin = have.get((setting, mode, 'swin_t', 'amp'))
        case = f'{setting}, {mode}, {network}'
        if way == FAST[mode] and plain:
            yield f'{case}: speed / plain', row['per_second'] / plain['per_second'], 2.0
            if setting.startswith('800'):
                yield f'{case}: memory of plain / fast', plain['peak_mib'] / row['peak_mib'], 2.0
            if swin and network == 'small':
                yield f'{case}: speed / Swin-T', row['per_second'] / swin['per_second'], 1.0


# The report


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to the screen."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def cells(row: Row) -> list[str]:
    """What the table says of a measurement."""
    case = [row[key] for key in CASE]
    if 'missing' in row:
        return [*case, row['missing']]
    return [*case, *(f'{row[key]:.1f}' for key in ('ms', 'per_second', 'peak_mib'))]


def main() -> None:
    args = parse_args()
    start = time.monotonic()
    use_tf32(False)
    checks = (golden_values, styles, compiled, training, one_process, detection)
    results = [result for check in checks for result in run_check(check, args.device, args.quick)]
    gpu = torch.cuda.get_device_name() if args.device == 'cuda' else 'CPU'
    where = f'{gpu}, torch {torch.__version__}'
    said = {True: 'passed', False: 'FAILED', None: 'skipped'}
    lines = [[*result[:3], said[result.passed]] for result in results]
    print_table(where, ('check', 'what', 'found', ''), lines)

    rows = list(measure(args.device, args.quick, start + SECONDS))
    print_table(where, (*CASE, 'ms', 'a second', 'peak MiB'), map(cells, rows))
    bars = list(compare(rows))
    for case, found, bar in bars:
        print(f'{case} {found:.2f}, meant to be {bar}')
    seconds = time.monotonic() - start
    print(f'{seconds:.0f} s')
    environment = {key: str(value) for key, value in collect_env().items()}
    report = dict(environment=environment, bars=bars)
    report |= dict(checks=[result._asdict() for result in results], rows=rows, seconds=seconds)
    Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    with write_beside(args.json) as part:
        part.write_text(json.dumps(report, indent=2))
    failed = [' '.join(result[:3]) for result in results if result.passed is False]
    failed += [' '.join(cells(row)) for row in rows if row.get('missing', LATE) not in (LATE, FULL)]
    if failed:
        raise cli.UserError(f'{len(failed)} failed:\n  ' + '\n  '.join(failed))


if __name__ == '__main__':
    cli.run_tool(main)
