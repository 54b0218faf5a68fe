"""Count the parameters and multiply-adds of a config's model, attention included.

Examples:
    python tools/analysis/get_flops.py configs/imagenet/uniformer-small_8xb128_in1k.py
    python tools/analysis/get_flops.py CONFIG --shape 800 1280 --depth 2
"""

import argparse
import contextlib
import json
import sys

from mmengine.registry import MODELS, init_default_scope

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli
from uniformer_mm.analysis.complexity import Complexity, count_complexity


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIDE',
        help='H W of the image, T H W of the clip, or one number for a square image; by default '
        'the crop of a classifier, 800 1280 (detection), 512 2048 (segmentation), the input size '
        'of a pose estimator, one view of a video as it is tested',
    )
    parser.add_argument(
        '--depth', type=int, default=0, metavar='N', help='also list modules this deep'
    )
    parser.add_argument('--json', action='store_true', help='print JSON')
    cli.add_options(parser)
    return parser.parse_args()


def print_table(cost: Complexity, shape: tuple[int, ...], depth: int) -> None:
    rows = [
        (name, module.params, module.macs)
        for name, module in cost.modules.items()
        if name.count('.') < depth
    ]
    rows.append(('total', cost.params, cost.macs))
    width = max(len(name) for name, *_ in rows)
    print(f'input: {" x ".join(map(str, shape))}')
    print(f'{"module":{width}}  {"parameters":>14}  {"G multiply-adds":>16}')
    for name, params, macs in rows:
        print(f'{name:{width}}  {params:>14,}  {macs / 1e9:>16.3f}')
    if cost.trainable != cost.params:
        print(f'trainable parameters: {cost.trainable:,}')


def main() -> None:
    args = parse_args()
    cfg, warnings = cli.load_config(args.config, args.cfg_options)
    for warning in warnings:
        print(warning, file=sys.stderr)
    library = cli.library_of(cfg)
    shape = tuple(args.shape or library.own_size(cfg) or library.paper_size)
    if len(shape) == 1:
        shape = (*shape, *shape)
    try:
        channels = cfg.model.backbone.get('in_channels', 3)
        forward = cli.task_forward(cfg.get('default_scope'), shape, channels)
    except ValueError as error:
        raise cli.UserError(str(error)) from error
    init_default_scope(cfg.default_scope)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with contextlib.redirect_stdout(sys.stderr):  # the libraries' log is not the report
        cost = count_complexity(MODELS.build(cfg.model), forward)
    if args.json:
        modules = {
            name: {'params': module.params, 'macs': module.macs}
            for name, module in cost.modules.items()
            if name.count('.') < args.depth
        }
        report = {'config': args.config, 'shape': shape, 'params': cost.params}
        report |= {'trainable': cost.trainable, 'macs': cost.macs, 'modules': modules}
        print(json.dumps(report, indent=2))
    else:
        print_table(cost, shape, args.depth)


if __name__ == '__main__':
    cli.run_tool(main)
