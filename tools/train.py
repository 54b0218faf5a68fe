"""Train a model of mmpretrain, mmdet, mmseg, mmpose or mmaction2: the config decides which.

Examples:
    python tools/train.py configs/mini/uniformer-mini_1xb32_digits.py
    python tools/train.py CONFIG --resume
    bash tools/dist_train.sh CONFIG 8 --amp bf16
"""

import argparse

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli
from uniformer_mm.engine import check_batch_count
from uniformer_mm.files import hold_folder


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, or (alone, or "auto") from the newest of the work dir',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=['fp16', 'bf16', 'off'],
        help='mixed precision: alone it means fp16; off trains in float32 whatever the config says',
    )
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate while training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate from the config's base batch size to the actual one",
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='do not pin memory')
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    parser.add_argument(
        '--deterministic', action='store_true', help='use deterministic algorithms only (slower)'
    )
    cli.add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg, warnings = cli.load_config(args.config, args.cfg_options)
    cli.set_work_dir(cfg, args.config, args.work_dir)
    cli.set_amp(cfg, args.amp)
    cli.check_optimizer(cfg)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise cli.UserError('--auto-scale-lr: the config has no auto_scale_lr.base_batch_size.')
        cfg.auto_scale_lr.enable = True
    if args.seed is not None or args.deterministic:
        cfg.setdefault('randomness', {})
        cfg.randomness.update(
            {'seed': args.seed} if args.seed is not None else {},
            **({'deterministic': True} if args.deterministic else {}),
        )
    splits = ('train', 'val')
    cli.check_data(cfg, splits)
    cli.check_weights(cfg)
    cli.set_loaders(cfg, splits, args.no_pin_memory)
    cli.check_work_dir(cfg.work_dir)
    if cli.is_first_process(args.launcher):
        hold_folder(cfg.work_dir)  # until the end: two runs would overwrite each other
    notes = cli.set_resume(cfg, cli.resume_after_restart(cfg, args.resume))
    notes += cli.prepare_runtime(cfg, args.launcher, args.local_rank)
    runner = cli.build_runner(cfg, notes, warnings)
    check_batch_count(runner)
    try:
        runner.train()
    except KeyboardInterrupt:
        hint = cli.how_to_go_on(cfg.work_dir, args.launcher)
        raise KeyboardInterrupt(hint) from None


if __name__ == '__main__':
    cli.run_tool(main)
