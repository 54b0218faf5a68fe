"""Count the parameters and multiply-adds of a config's model, attention included.

Examples:
    python tools/analysis/get_flops.py configs/imagenet/uniformer-small_8xb128_in1k.py
    python tools/analysis/get_flops.py CONFIG --shape 800 1280 --depth 2
"""

import argparse
import contextlib
import json
import sys

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import uniformer_mm  # noqa: F401  registers, and mends what is broken in the libraries
from uniformer_mm import cli
from uniformer_mm.analysis.complexity import Complexity, count_complexity, task_forward

# The sizes at which papers print the cost.
SHAPES = {
    'mmpretrain': (224, 224),
    'mmdet': (800, 1280),
    'mmseg': (512, 2048),
    'mmpose': (256, 192),
    'mmaction': (16, 224, 224),
}


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
    parser.add_argument(
        '--cfg-options', nargs='+', action=cli.OptionAction, default={}, metavar='KEY=VALUE'
    )
    return parser.parse_args()


def default_shape(cfg: Config) -> tuple[int, ...]:
    """The input size that the config itself tests with, or else the papers'."""
    scope = cfg.get('default_scope')
    if scope == 'mmpose' and 'input_size' in cfg.get('codec', {}):
        width, height = cfg.codec.input_size
        return height, width
    if scope in ('mmpretrain', 'mmaction') and cfg.get('test_dataloader'):
        steps = cfg.test_dataloader.dataset.get('pipeline', [])
        frames = [step.clip_len for step in steps if 'clip_len' in step]
        for step in steps:
            if step.get('type') in ('CenterCrop', 'ThreeCrop'):
                crop = step.crop_size
                return (*frames, *((crop, crop) if isinstance(crop, int) else crop))
    return SHAPES.get(scope, ())


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
    cfg, _ = cli.load_config(args.config, args.cfg_options)
    shape = tuple(args.shape) if args.shape else default_shape(cfg)
    if len(shape) == 1:
        shape = shape * 2
    try:
        channels = cfg.model.backbone.get('in_channels', 3)
        forward, device = task_forward(cfg.get('default_scope'), shape, channels)
    except ValueError as error:
        raise cli.UserError(str(error)) from error
    init_default_scope(cfg.default_scope)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    with contextlib.redirect_stdout(sys.stderr):  # the libraries' log is not the report
        cost = count_complexity(MODELS.build(cfg.model), forward, device)
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
