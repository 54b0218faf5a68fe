"""Test a trained model of mmpretrain, mmdet, mmseg, mmpose or mmaction2.

Examples:
    python tools/test.py CONFIG work_dirs/CONFIG/epoch_3.pth
    python tools/test.py CONFIG CHECKPOINT --show-dir pictures --interval 10
    python tools/test.py CONFIG CHECKPOINT --fast compile bf16
    bash tools/dist_test.sh CONFIG CHECKPOINT 8 --tta
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import mmengine

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli
from uniformer_mm.files import write_beside

PICKLES = ('.pkl', '.pickle')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or the name or address of one to fetch'
    )
    parser.add_argument(
        '--out', metavar='FILE', help='write the metrics (.json) or the predictions (.pkl) here'
    )
    parser.add_argument('--dump', metavar='FILE', help='write the predictions (.pkl) here')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace the files of --out and --dump'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    cli.add_fast_option(parser)
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', metavar='DIR', help='draw predictions into this folder')
    parser.add_argument(
        '--wait-time', type=float, default=2, metavar='SECONDS', help='how long to show each'
    )
    parser.add_argument(
        '--interval', type=int, default=1, metavar='N', help='draw every N-th (mmdet draws all)'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='do not pin memory')
    cli.add_common_arguments(parser)
    return parser.parse_args()


def output_files(args: argparse.Namespace) -> tuple[str | None, list[str]]:
    """The file for the metrics, and those for the predictions."""
    metrics, predictions = None, []
    if args.out is not None:
        if args.out.endswith('.json'):
            metrics = args.out
        elif args.out.endswith(PICKLES):
            predictions.append(args.out)
        else:
            raise cli.UserError(f'--out: expected a .json or .pkl file, got {args.out}.')
    if args.dump is not None:
        if not args.dump.endswith(PICKLES):
            raise cli.UserError(f'--dump: expected a .pkl file, got {args.dump}.')
        predictions.append(args.dump)
    for file in filter(None, [metrics, *predictions]):
        if Path(file).exists() and not args.overwrite:
            raise cli.UserError(f'{file} exists already; add --overwrite to replace it.')
    return metrics, predictions


def main() -> None:
    args = parse_args()
    metrics_file, prediction_files = output_files(args)
    cfg, warnings = cli.load_config(args.config, args.cfg_options)
    if cfg.get('test_dataloader') is None or cfg.get('test_evaluator') is None:
        raise cli.UserError(f'{args.config} has no test_dataloader and test_evaluator.')
    cli.set_work_dir(cfg, args.config, args.work_dir)
    cli.check_data(cfg, ('test',))
    cli.peek_checkpoint(args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    cli.check_work_dir(cfg.work_dir)

    if args.show or args.show_dir:
        cli.set_visualization(
            cfg, args.show, args.show_dir, args.wait_time, args.interval, args.tta
        )
    if args.tta:
        cli.set_tta(cfg)
    cli.set_fast(cfg, args.fast)
    whole = ExitStack()
    for file in prediction_files:
        if cli.is_first_process(args.launcher):
            file = whole.enter_context(write_beside(file))
        cli.add_dump(cfg, str(file))
    cli.set_loaders(cfg, ('test',), args.no_pin_memory)
    notes = cli.prepare_runtime(cfg, args.launcher, args.local_rank)

    runner = cli.build_runner(cfg, notes, warnings)
    with whole:
        metrics = runner.test()
    if runner.rank == 0:
        if metrics_file is not None:
            with write_beside(metrics_file) as part:
                mmengine.dump(metrics, part)
        for name, value in metrics.items():
            print(f'{name}: {value:.4f}' if isinstance(value, float) else f'{name}: {value}')


if __name__ == '__main__':
    cli.run_tool(main)
