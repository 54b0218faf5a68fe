"""Write a trained model to a file that runs without this package, and check it.

The suffix says which: .onnx for ONNX, .pt2 for torch.export, .xml for OpenVINO. An ONNX file holds
all that tools/deploy/predict.py needs to run it: how images are made into inputs, names, colours.
The file is compared with the model on noise, at other sizes and batches than it was made with, and
kept only if the two agree.

Examples:
    python tools/deploy/export.py CONFIG CHECKPOINT classifier.onnx
    python tools/deploy/export.py CONFIG CHECKPOINT classifier.onnx --precision int8
    python tools/deploy/export.py CONFIG CHECKPOINT detector.onnx --size 800 1344
"""

import argparse
import copy
from contextlib import ExitStack
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

import uniformer_mm
from uniformer_mm import cli
from uniformer_mm.analysis.timing import measure_times
from uniformer_mm.deploy import formats, parity
from uniformer_mm.deploy.formats import FORMATS
from uniformer_mm.deploy.tasks import Deployment
from uniformer_mm.engine import fold_backbone
from uniformer_mm.files import write_beside
from uniformer_mm.models.backbones import StagedBackbone

SIZE = (128, 160)  # of configs that name none, whose images have any size
ROUNDS = 5


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='its trained weights: a file, or a name or address')
    parser.add_argument('out', type=Path, help=f'file to write: {", ".join(FORMATS)}')
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        metavar='SIDE',
        help='take images of this size alone: one side of a square, or height and width',
    )
    parser.add_argument(
        '--precision',
        choices=parity.TOLERANCE,
        default='fp32',
        help='fp16: the backbone in half precision, inputs and outputs float32; int8: products '
        'with weights in 8 bits, ONNX only; default: %(default)s',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest difference from the model, of outputs above 1 relative to the largest; '
        'default: ' + ', '.join(f'{value:g} ({name})' for name, value in parity.TOLERANCE.items()),
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the file')
    cli.add_classes_option(parser)
    cli.add_options(parser)
    args = parser.parse_args()
    if args.out.suffix not in FORMATS:
        parser.error(f'{args.out}: expected a name that ends with {" or ".join(FORMATS)}')
    if args.precision == 'int8' and args.out.suffix != '.onnx':
        parser.error(f'--precision int8 is for .onnx, not for {args.out.suffix}')
    if args.size is not None and (len(args.size) > 2 or min(args.size) < 32):
        parser.error(f'--size: expected one or two sides of at least 32, got {args.size}')
    if args.tolerance is None:
        args.tolerance = parity.TOLERANCE[args.precision]
    return args


def input_size(cfg: Config, deployment: Deployment, args: argparse.Namespace) -> list[int]:
    """(H, W) or (T, H, W) of the inputs in a test, or as asked for."""
    *frames, height, width = cli.library_of(cfg).own_size(cfg) or SIZE
    if deployment.clip and not frames:
        raise cli.UserError(
            f'{args.config}: no step of test_dataloader.dataset.pipeline has a clip_len, which '
            'says how many frames the network takes.'
        )
    return [*frames, *((args.size[0], args.size[-1]) if args.size else (height, width))]


def describe(
    cfg: Config, model: nn.Module, deployment: Deployment, args: argparse.Namespace
) -> dict:
    """The metadata of the file."""
    count, known = deployment.num_classes(model), model.dataset_meta
    if count:
        known = cli.known_meta(count, cfg, model.dataset_meta)
        names = cli.class_names(args.classes, count, cfg, model.dataset_meta)
        known = {**known, 'classes': names}
    elif args.classes is not None:
        raise cli.UserError(f'--classes: a {deployment.task} model tells no classes apart.')
    return dict(
        version=uniformer_mm.__version__,
        config=Path(args.config).name,
        precision=args.precision,
        **deployment.describe(cfg, model, known),
    )


def main() -> None:
    args = parse_args()
    if args.out.exists() and not args.overwrite:
        raise cli.UserError(f'{args.out} exists already; add --overwrite to replace it.')
    kind = FORMATS[args.out.suffix]
    kind.check()
    cfg, warnings = cli.load_config(args.config, args.cfg_options)
    for warning in warnings:
        print(warning)
    deployment = cli.library_of(cfg).deployment
    if deployment is None:
        raise cli.UserError(f'{args.config} is for none of {", ".join(cli.LIBRARIES)}.')
    cli.peek_checkpoint(args.checkpoint)
    model = cli.build_trained(cfg, args.checkpoint, 'cpu')
    if not isinstance(model.backbone, StagedBackbone):
        raise cli.UserError(
            f'model.backbone is {type(model.backbone).__name__}, none of uniformer_mm.'
        )
    size, meta = input_size(cfg, deployment, args), describe(cfg, model, deployment, args)
    crops = [step for step in meta['steps'] if 'width' in step]
    if args.size and any([step['height'], step['width']] != size[-2:] for step in crops):
        raise cli.UserError(
            f'--size: the test of {args.config} makes images of {crops[-1]["height"]} x '
            f'{crops[-1]["width"]}: drop the option, or change the config with --cfg-options.'
        )
    folded = copy.deepcopy(model)
    fold_backbone(folded, dtype='fp16' if args.precision == 'fp16' else None)
    deployment.adapt(folded)
    reference, graph = formats.eager(deployment.graph(model)), deployment.graph(folded)
    example = torch.randn(2, 3, *size)
    axes = [0] if args.size else [0, example.ndim - 2, example.ndim - 1]
    meta['input'] = dict(
        name=graph.input_names[0],
        shape=[
            formats.axis_names(example.ndim, axes).get(i, side)
            for i, side in enumerate(example.shape)
        ],
    )
    with ExitStack() as whole:
        part = whole.enter_context(write_beside(args.out))
        if args.out.suffix == '.xml':
            whole.enter_context(write_beside(args.out.with_suffix('.bin')))
        kind.write(part, graph, example, axes, meta)
        if args.precision == 'int8':
            counts = formats.quantise(part)
            print(f'{counts["int8"]} of {counts["products"]} matrix products are int8.')
        run = kind.load(part, torch.get_num_threads())
        shapes = parity.shapes_around(size, fixed=args.size is not None)
        apart = parity.difference(graph.output_names, reference, run, shapes)
        worst = max(apart.values())
        said = ', '.join(f'{name} {value:.1e}' for name, value in apart.items())
        print(f'Largest difference from the model at {len(shapes)} shapes of noise: {said}.')
        if not worst <= args.tolerance:
            raise cli.UserError(
                f'{args.out} is not kept: it differs from the model by {worst:.2g}, more than '
                f'{args.tolerance:g} (--tolerance).'
            )
        images = parity.noise((1, 3, *size))
        times = measure_times(
            {'model': lambda: reference(images), 'file': lambda: run(images)}, ROUNDS
        )
    print(
        f'{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB. One {meta["input"]["name"][:-1]} '
        f'of {" x ".join(map(str, size))} on {torch.get_num_threads()} CPU thread(s): '
        f'{times["model"] / times["file"]:.2f} times as fast as the model in PyTorch'
    )


if __name__ == '__main__':
    cli.run_tool(main)
