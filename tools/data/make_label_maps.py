"""Make a label map for every image of a folder, with any classifier of mmpretrain.

A label map tells what the classifier sees in each part of an image: (2, k, H, W), the scores of the
k likeliest classes of each of H x W cells, and the numbers of these classes. Token labelling trains
with them. OUT gets the folders of DATA_ROOT, with a .pt file for each image. The work goes on where
it was interrupted.

The classifier must compute a feature map and a score from its mean, as convolutional networks and
UniFormer do: its head is put on each place of the map instead.

Examples:
    python tools/data/make_label_maps.py CONFIG CHECKPOINT data/imagenet/train data/label_maps
    python tools/data/make_label_maps.py CONFIG CHECKPOINT DATA_ROOT OUT --size 384 --batch-size 64
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DATASETS, init_default_scope
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import uniformer_mm  # noqa: F401  registers
from uniformer_mm import cli
from uniformer_mm.checkpoints import local_path, sha256_of
from uniformer_mm.datasets.transforms.image_check import check_pixels

RECIPE = 'label_maps.json'
EXACT_IN_HALF = 2048  # float16 holds all integers up to here


class Samples(Dataset):
    """Some samples of a data set by their number, or what kept them from being read.

    Args:
        dataset: One of mmpretrain.
        numbers: Those of the samples.
    """

    def __init__(self, dataset: Dataset, numbers: list[int]) -> None:
        self.dataset = dataset
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        number = self.numbers[index]
        try:
            check_pixels(self.dataset.get_data_info(number)['img_path'])
            return number, self.dataset[number]['inputs']
        except Exception as error:  # decoders have exceptions of their own
            return number, f'{type(error).__name__}: {error}'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file of a classifier')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument('data_root', type=Path, help='folder of images, in folders or not')
    parser.add_argument('out', type=Path, help='folder of the label maps')
    parser.add_argument(
        '--size',
        type=int,
        default=576,
        help='short side and center crop of the image in pixels, by which a map has as many cells '
        'as the feature map: 18 x 18 at 576 pixels and a stride of 32; default: %(default)s',
    )
    parser.add_argument('--topk', type=int, default=5, help='classes of a cell; default: 5')
    parser.add_argument('--batch-size', type=int, default=32, help='default: 32')
    workers = min(8, os.cpu_count() or 1)
    parser.add_argument(
        '--workers', type=int, default=workers, help='that read images; default: %(default)s'
    )
    parser.add_argument('--device', help='e.g. cpu or cuda:1; default: a GPU if there is one')
    cli.add_options(parser)
    return parser.parse_args()


def build_dataset(args: argparse.Namespace) -> Dataset:
    """All images of the folder, resized and cropped.

    Raises:
        UserError: If there is none.
    """
    resize = dict(type='ResizeEdge', edge='short', backend='pillow', interpolation='bicubic')
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(resize, scale=args.size),
        dict(type='CenterCrop', crop_size=args.size),
        dict(type='PackInputs'),
    ]
    if not args.data_root.is_dir():
        raise cli.UserError(f'There is no folder {args.data_root}.')
    described = dict(type='CustomDataset', data_root=str(args.data_root), with_label=False)
    try:
        return DATASETS.build(dict(described, pipeline=pipeline))
    except RuntimeError as error:
        raise cli.UserError(f'{args.data_root} holds no image. {error}') from error


@torch.no_grad()
def cell_logits(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of each place of the feature map, (B, K, H, W), for images (B, 3, h, w).

    Raises:
        TypeError: If there is no feature map, or no logits for each of its places.
    """
    feats = model.backbone(images)
    feature_map = feats if isinstance(feats, Tensor) else feats[-1]
    if not isinstance(feature_map, Tensor) or feature_map.ndim != 4:
        raise TypeError(f'{type(model.backbone).__name__} gives no feature map')
    batch, channels, height, width = feature_map.shape
    # Each place is an image of its own: (B, C, H, W) -> (B * H * W, C, 1, 1).
    cells = (feature_map.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1),)
    logits = model.head(model.neck(cells) if model.with_neck else cells)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(cells[0]):
        raise TypeError(f'{type(model.head).__name__} gives no scores of one place')
    return logits.view(batch, height, width, -1).permute(0, 3, 1, 2)


def check_classifier(model: nn.Module, args: argparse.Namespace) -> None:
    """See that a classifier can do it.

    Raises:
        UserError: If it tells no classes of single places, or fewer than are asked for.
    """
    device = next(model.parameters()).device
    try:
        logits = cell_logits(model, torch.zeros(1, 3, args.size, args.size, device=device))
    except Exception as error:  # anything can go wrong in a network that was made for vectors
        raise cli.UserError(
            f'{args.config} cannot make label maps: expected a classifier whose head scores the '
            f'mean of a feature map ({type(error).__name__}: {error}).'
        ) from error
    if not 1 <= args.topk <= logits.shape[1]:
        raise cli.UserError(f'--topk {args.topk}: expected 1 to {logits.shape[1]} classes.')


def check_recipe(args: argparse.Namespace) -> None:
    """See that what is in the folder was made in the same way; note it in a new folder.

    Raises:
        UserError: If it was made otherwise, or not by this tool.
    """
    weights = local_path(args.checkpoint)
    recipe = dict(
        weights=args.checkpoint if weights is None else sha256_of(weights),
        size=args.size,
        topk=args.topk,
    )
    file = args.out / RECIPE
    if file.is_file():
        try:
            found = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise cli.UserError(f'{file} cannot be read: {error}. Give another folder.') from error
        if found != recipe:
            raise cli.UserError(
                f'{args.out} holds label maps made with {found}, not {recipe}: give another folder.'
            )
    elif args.out.exists() and any(args.out.iterdir()):
        raise cli.UserError(
            f'{args.out} is not empty, and not of this tool: give another folder for label maps.'
        )
    else:
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(recipe, indent=2) + '\n')
        except OSError as error:
            raise cli.UserError(f'{args.out} cannot be written to: {error.strerror}.') from error


def save(label: Tensor, path: Path) -> None:
    """Write a label map; it appears complete or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    unfinished = path.with_name(f'.{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(label, unfinished)
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:  # torch says it in its own way
        unfinished.unlink(missing_ok=True)
        raise cli.UserError(f'{path} cannot be written: {error}.') from error


def count_left_out(dataset: Any, root: Path) -> None:
    """Say on standard error how much that looks like an image is none: folders, broken links."""
    images = {dataset.get_data_info(number)['img_path'] for number in range(len(dataset))}
    extensions = dataset.extensions
    others = [
        path
        for path in root.rglob('*')
        if path.suffix.lower() in extensions and str(path) not in images
    ]
    if others:
        print(
            f'{root}: left out are {len(others)} entries with the name of an image: folders, '
            f'broken or hidden ones. The first is {min(others)}.',
            file=sys.stderr,
        )


def name_targets(dataset: Any, args: argparse.Namespace) -> dict[int, Path]:
    """The label map of each image, by the number of the image.

    Raises:
        UserError: If two images would have the same.
    """
    targets: dict[int, Path] = {}
    images: dict[Path, str] = {}
    for number in range(len(dataset)):
        image = dataset.get_data_info(number)['img_path']
        target = args.out / Path(image).relative_to(args.data_root).with_suffix('.pt')
        if target in images:
            raise cli.UserError(
                f'{images[target]} and {image} would have the same label map: rename one.'
            )
        targets[number], images[target] = target, image
    return targets


def make_label_maps(
    model: nn.Module, dataset: Any, targets: dict[int, Path], args: argparse.Namespace
) -> dict[str, str]:
    """Write the label maps; returns what is wrong with each image that cannot be read."""
    loader = DataLoader(
        Samples(dataset, list(targets)),
        batch_size=args.batch_size,
        num_workers=args.workers,
        collate_fn=list,
    )
    broken = {}
    for batch in track(loader, 'label maps'):
        images = {number: data for number, data in batch if isinstance(data, Tensor)}
        for number, data in batch:
            if number not in images:
                broken[dataset.get_data_info(number)['img_path']] = data
        if not images:
            continue
        inputs = model.data_preprocessor(dict(inputs=list(images.values())))['inputs']
        logits = cell_logits(model, inputs).float()
        dtype = torch.float16 if logits.shape[1] <= EXACT_IN_HALF else torch.float32
        scores, classes = logits.topk(args.topk, 1)
        labels = torch.stack([scores, classes.to(scores)], 1).to('cpu', dtype)
        for number, label in zip(images, labels, strict=True):
            save(label.clone(), targets[number])  # a slice would be saved with all of its batch
    return broken


def main() -> None:
    args = parse_args()
    cfg, warnings = cli.load_config(args.config, args.cfg_options, 'mmpretrain')
    for warning in warnings:
        print(warning, file=sys.stderr)
    cli.peek_checkpoint(args.checkpoint)
    init_default_scope('mmpretrain')
    dataset = build_dataset(args)
    count_left_out(dataset, args.data_root)
    targets = name_targets(dataset, args)
    model = cli.build_trained(cfg, args.checkpoint, args.device)
    check_classifier(model, args)
    check_recipe(args)

    missing = {number: path for number, path in targets.items() if not path.exists()}
    if len(missing) < len(targets):
        print(f'{len(targets) - len(missing)} of {len(targets)} label maps are there already')
    broken = make_label_maps(model, dataset, missing, args) if missing else {}
    print(f'{args.out}: {len(missing) - len(broken)} label maps made')
    if broken:
        raise cli.UserError(
            f'{len(broken)} of {len(missing)} images cannot be read. Training needs a label map '
            'for every image: mend them, or take them away:\n  '
            + '\n  '.join(f'{image}: {error}' for image, error in broken.items())
        )


if __name__ == '__main__':
    cli.run_tool(main)
