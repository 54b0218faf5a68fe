"""Time the pipeline of a config's data, step by step, beside the library's own steps.

    python tools/analysis/benchmark_data.py CONFIG
    python tools/analysis/benchmark_data.py CONFIG --split test --samples 16 --rounds 9
    python tools/analysis/benchmark_data.py CONFIG --timm   # the recipe of ImageNet, by timm

One core reads the same files through both pipelines in turn, round after round with the same
random numbers, so that a busy machine slows both alike. The stock pipeline is that of the config
with the library's type where the config names a quicker one of ours; a file counts once, however
often repeated augmentation uses it. Printed are the median milliseconds of a sample in each step.
"""

import argparse
import copy
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from itertools import chain, zip_longest

import cv2
import numpy as np
import torch
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope
from PIL import Image
from rich.console import Console
from rich.table import Table

from uniformer_mm import cli
from uniformer_mm.errors import UserError
from uniformer_mm.files import write_beside

# Ours to the library's, for the same pixels.
STOCK = {
    'uniformer_mm.AutoContrast': 'AutoContrast',
    'uniformer_mm.Brightness': 'Brightness',
    'uniformer_mm.ContiguousFlip': 'RandomFlip',
    'uniformer_mm.Contrast': 'Contrast',
    'uniformer_mm.Equalize': 'Equalize',
    'uniformer_mm.PyAVDecode': 'DecordDecode',
    'uniformer_mm.PyAVInit': 'DecordInit',
    'uniformer_mm.Solarize': 'Solarize',
    'uniformer_mm.SolarizeAdd': 'SolarizeAdd',
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
    parser.add_argument(
        '--timm', action='store_true', help="also timm's steps of rand-m9-mstd0.5-inc1 at 224 x 224"
    )
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


def timm_steps() -> list[Callable]:
    """timm's own steps of the recipe, from a file to a normalised tensor."""
    try:
        from timm.data import create_transform
    except ImportError as error:
        raise UserError(f'--timm needs timm ({error}): pip install timm') from error

    def open_image(info: dict) -> Image.Image:
        return Image.open(info['img_path']).convert('RGB')

    recipe = dict(auto_augment='rand-m9-mstd0.5-inc1', re_prob=0.25, re_mode='pixel')
    transform = create_transform(224, is_training=True, interpolation='bicubic', **recipe)
    return [open_image, *transform.transforms]


def run(steps: dict[str, Callable], infos: list[dict], seed: int) -> dict[str, float]:
    """Milliseconds a sample takes in each step, on average over the samples."""
    random.seed(seed)
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
    if args.timm:
        pipelines['timm'] = {
            f'{number} {getattr(step, "__name__", type(step).__name__)}': step
            for number, step in enumerate(timm_steps())
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
    for way in results:
        table.add_column(way)
        table.add_column('ms', justify='right')
    for row in zip_longest(*(r['steps'].items() for r in results.values()), fillvalue=('', None)):
        table.add_row(*chain(*((name, '' if ms is None else f'{ms:.2f}') for name, ms in row)))
    table.add_section()
    table.add_row(*chain(*(('all', f'{r["ms"]:.2f}') for r in results.values())))
    table.add_row(
        *chain(*(('samples a second', f'{r["per_second"]:.1f}') for r in results.values()))
    )
    Console().print(table)
    ours, *others = results
    for other in others:
        print(f'speed / {other}: {results[other]["ms"] / results[ours]["ms"]:.2f}')
    if args.json:
        with write_beside(args.json) as part:
            part.write_text(json.dumps(results, indent=2))


if __name__ == '__main__':
    cli.run_tool(main)
