"""Time the pipeline of a config's data, step by step, beside the library's own steps.

    python tools/analysis/benchmark_data.py CONFIG
    python tools/analysis/benchmark_data.py CONFIG --split test --samples 16 --rounds 9

One core reads the same files through both pipelines in turn, round after round with the same
random numbers, so that a busy machine slows both alike. The stock pipeline is that of the config
with the library's type where the config names a quicker one of ours; a file counts once, however
often repeated augmentation uses it. Printed are the median milliseconds of a sample in each step.
"""

import argparse
import copy
import json
import statistics
import sys
import time

import cv2
import numpy as np
import torch
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from rich.console import Console
from rich.table import Table

from uniformer_mm import cli
from uniformer_mm.files import write_beside

# Ours to the library's, for the same pixels.
STOCK = {
    'uniformer_mm.AutoContrast': 'AutoContrast',
    'uniformer_mm.ContiguousFlip': 'RandomFlip',
    'uniformer_mm.Equalize': 'Equalize',
    'uniformer_mm.PyAVDecode': 'DecordDecode',
    'uniformer_mm.PyAVInit': 'DecordInit',
    'uniformer_mm.TableRandAugment': 'RandAugment',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, whose data must be there')
    parser.add_argument('--split', default='train', choices=('train', 'val', 'test'))
    parser.add_argument('--samples', type=int, default=32, help='spread over the data set')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', metavar='FILE', help='also write the results here')
    cli.add_options(parser)
    args = parser.parse_args()
    for name in ('samples', 'rounds'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be at least 1, got {getattr(args, name)}')
    return args


def stock(node: object) -> object:
    """A pipeline with the library's types in place of ours."""
    if isinstance(node, dict):
        return {
            key: STOCK.get(value, value) if key == 'type' else stock(value)
            for key, value in node.items()
        }
    return type(node)(map(stock, node)) if isinstance(node, list | tuple) else node


def run(steps: dict[str, object], infos: list[dict], seed: int) -> dict[str, float]:
    """Milliseconds a sample takes in each step, on average over the samples."""
    np.random.seed(seed)
    torch.manual_seed(seed)
    times = dict.fromkeys(steps, 0.0)
    for info in infos:
        data = copy.deepcopy(info)
        for name, step in steps.items():
            start = time.perf_counter()
            data = step(data)
            times[name] += time.perf_counter() - start
    return {name: seconds * 1e3 / len(infos) for name, seconds in times.items()}


def main() -> None:
    args = parse_args()
    cfg, warnings = cli.load_config(args.config, args.cfg_options)
    for warning in warnings:
        print(warning, file=sys.stderr)
    init_default_scope(cfg.default_scope)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    wanted = cfg[f'{args.split}_dataloader'].dataset
    dataset = DATASETS.build(wanted)
    places = np.linspace(0, len(dataset) - 1, args.samples).astype(int)
    infos = [dataset.get_data_info(place) for place in places]
    config = wanted.to_dict()['pipeline']
    pipelines = {
        way: {
            f'{number} {step["type"].removeprefix("uniformer_mm.")}': TRANSFORMS.build(step)
            for number, step in enumerate(steps)
        }
        for way, steps in (('config', config), ('stock', stock(config)))
    }
    rounds: dict[str, list[dict[str, float]]] = {way: [] for way in pipelines}
    for seed in range(args.rounds + 1):  # the first warms up
        for way, steps in pipelines.items():
            rounds[way].append(run(steps, infos, seed))
    results = {}
    for way, (_, *measured) in rounds.items():
        steps = {name: statistics.median(r[name] for r in measured) for name in pipelines[way]}
        total = statistics.median(sum(r.values()) for r in measured)
        results[way] = dict(ms=total, per_second=1e3 / total, steps=steps)

    table = Table(title=f'{args.split}, {args.samples} samples, one core')
    for column in ('step', 'ms', 'stock', 'ms'):
        table.add_column(column, justify='right' if column == 'ms' else 'left')
    ours, theirs = (result['steps'].items() for result in results.values())
    for (name, ms), (stock_name, stock_ms) in zip(ours, theirs, strict=True):
        table.add_row(name, f'{ms:.2f}', stock_name, f'{stock_ms:.2f}')
    table.add_section()
    table.add_row(
        *(f'{r[key]:.2f}' if key else 'all' for r in results.values() for key in ('', 'ms'))
    )
    rates = [f'{result["per_second"]:.1f}' for result in results.values()]
    table.add_row('samples a second', rates[0], '', rates[1])
    Console().print(table)
    print(f'speed / stock: {results["stock"]["ms"] / results["config"]["ms"]:.2f}')
    if args.json:
        with write_beside(args.json) as part:
            part.write_text(json.dumps(results, indent=2))


if __name__ == '__main__':
    cli.run_tool(main)
