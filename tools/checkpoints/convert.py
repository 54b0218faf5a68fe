"""Convert UniFormer and DualFormer weights between the official layout and OpenMMLab's.

Reads every layout that they are published in, proves by loading that they are
complete, and writes a clean file without optimiser state. See docs/weights.md.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from uniformer_mm import __version__
from uniformer_mm.architectures import ARCHS, DUAL_ARCHS, LIGHT_ARCHS
from uniformer_mm.checkpoints import (
    CLASS_ORDERS,
    SAFETENSORS,
    CheckpointError,
    Weights,
    describe_weights,
    fetch,
    load_backbone,
    possible_class_order,
    read_checkpoint,
    reorder_head,
    resolve,
    save_checkpoint,
    sha256_of,
    to_mm,
    to_official,
)
from uniformer_mm.registry import MODELS

# What light networks and those of token labelling on clips have beside their linear head.
TOKEN_HEAD = ('norm_cls.', 'head_cls.', 'token_linear.')
DATASET_META = ('classes', 'palette')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='file in any layout, or the name or address of one to fetch')
    parser.add_argument(
        'target',
        type=Path,
        help='file to write; a name that ends in .safetensors gives that format',
    )
    parser.add_argument(
        '--to',
        choices=('mm', 'official'),
        default='mm',
        help='mm: for load_from and test of a classifier; official: for publishing (default: mm)',
    )
    parser.add_argument(
        '--task',
        choices=('cls', 'dense', 'backbone'),
        default='cls',
        help='cls: keep the classification head; dense: neck and heads of a detector, segmentor or '
        'pose estimator; backbone: nothing else (default: cls)',
    )
    parser.add_argument(
        '--arch',
        choices=list({**ARCHS, **LIGHT_ARCHS, **DUAL_ARCHS}),
        help='check the architecture',
    )
    parser.add_argument(
        '--head-dim', type=int, help='channels of one attention head, if the file does not tell'
    )
    parser.add_argument(
        '--ema',
        action=argparse.BooleanOptionalAction,
        default=None,
        help='take the averaged weights, or the plain ones, of a file that has both; by default '
        "plain of an official file, averaged of MMEngine's",
    )
    parser.add_argument(
        '--class-order',
        choices=(*CLASS_ORDERS, 'keep'),
        help="renumber the classes of a video head from the authors' order to MMAction2's, or with "
        '--to official back; keep: the classes are others, such as those of Something-Something '
        'V2. Needed for 174, 400 and 600 classes',
    )
    parser.add_argument(
        '--drop-token-head',
        action='store_true',
        help="leave out a light model's head on the class token, or DualFormer's on all tokens, "
        "which only training uses, so that the library's linear head takes the file",
    )
    parser.add_argument('--add-hash', action='store_true', help="put the file's hash into its name")
    parser.add_argument('--force', action='store_true', help='overwrite the target')
    return parser.parse_args()


def order_classes(weights: Weights, to: str, order: str | None) -> Weights:
    """Number the classes of a video head as the target layout does.

    Raises:
        CheckpointError: If the head may need it and the order is not given, or if it cannot be of
            the given one.
    """
    source = 'official' if weights.layout == 'official' else 'mm'
    if order is None:
        possible = possible_class_order(weights)
        if possible is None or source == to:
            return weights
        raise CheckpointError(
            f'{weights.source} has a video head of {CLASS_ORDERS[possible]} classes. Official '
            f'files and MMAction2 number those of {possible} in different orders: give '
            f'--class-order {possible} to renumber them, or --class-order keep if they are others.'
        )
    if order == 'keep':
        return weights
    if source == to:
        raise CheckpointError(
            f'--class-order renumbers between official and mm files; {weights.source} is {source} '
            f'and --to {to} was asked for.'
        )
    return reorder_head(weights, order, to_mmaction=to == 'mm')


def drop_token_head(weights: Weights) -> Weights:
    """The weights without the head on the class token and its norm, or on all tokens.

    Raises:
        CheckpointError: If there is none.
    """
    kept = {k: v for k, v in weights.classifier.items() if not k.startswith(TOKEN_HEAD)}
    if len(kept) == len(weights.classifier):
        raise CheckpointError(f'{weights.source} has no head on tokens to drop.')
    return replace(weights, classifier=kept)


def prove(weights: Weights, network: dict[str, Any]) -> None:
    """Load the weights into the network that is said to fit them.

    Raises:
        CheckpointError: If an entry is missing, left over or of another shape.
    """
    backbone_only = replace(weights, classifier={}, other={})
    load_backbone(MODELS.build(dict(network)), backbone_only, head_dim=network['head_dim'])


def dataset_meta_of(meta: dict) -> dict:
    """Classes and colours that a file names, as MMEngine writes them or as MMCV 1.x did."""
    old = {key: meta[key.upper()] for key in DATASET_META if meta.get(key.upper())}
    new = meta.get('dataset_meta')
    return new if new and isinstance(new, dict) else old


def convert(args: argparse.Namespace) -> Path:
    """Read, check and write; returns the path written."""
    if args.target.exists() and not (args.force or args.add_hash):
        raise FileExistsError(f'{args.target} exists; choose another name or give --force.')
    weights = read_checkpoint(args.source, ema=args.ema)
    source = fetch(resolve(args.source))
    network = describe_weights(weights, args.arch, args.head_dim)
    prove(weights, network)
    if args.task == 'backbone':
        weights.classifier.clear()
        weights.other.clear()
    elif args.task == 'dense':
        if args.to == 'official':
            raise CheckpointError(
                '--task dense has one layout, --to mm, which the authors use too.'
            )
        if not weights.other:
            raise CheckpointError(f'{args.source} has no neck and heads of a dense model.')
    elif not weights.classifier:
        raise CheckpointError(
            f'{args.source} has no classification head: use --task dense or --task backbone.'
        )
    if args.drop_token_head:
        weights = drop_token_head(weights)
    if weights.classifier:
        weights = order_classes(weights, args.to, args.class_order)
    meta = {
        **network,
        'source_file': source.name,
        'source_sha256': sha256_of(source),
        'source_layout': weights.layout,
        'averaged': weights.averaged,
        'class_order': args.class_order,
        'uniformer_mm_version': __version__,
    }
    if args.to == 'mm':
        dataset_meta = dataset_meta_of(weights.meta)
        if args.target.suffix == SAFETENSORS:  # which holds text, and of other entries not all is
            dataset_meta = {k: dataset_meta[k] for k in DATASET_META if k in dataset_meta}
        if dataset_meta:
            meta['dataset_meta'] = dataset_meta
        checkpoint = {'meta': meta, 'state_dict': to_mm(weights)}
    else:
        checkpoint = {'meta': meta, 'model': to_official(weights)}
    return save_checkpoint(checkpoint, args.target, add_hash=args.add_hash, force=args.force)


def main() -> None:
    args = parse_args()
    try:
        path = convert(args)
    except (CheckpointError, OSError) as error:
        sys.exit(f'error: {error}')
    print(f'Wrote {path}')


if __name__ == '__main__':
    main()
