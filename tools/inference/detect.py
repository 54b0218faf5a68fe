"""Find objects in an image, or in every image of a folder, and draw what was found.

mmdet's DetInferencer does the work; its pictures go to DIR/vis.

Examples:
    python tools/inference/detect.py CONFIG CHECKPOINT street.jpg --out-dir found
    python tools/inference/detect.py CONFIG CHECKPOINT folder --score-thr 0.5 --save-predictions
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from mmengine.config import Config

import uniformer_mm  # noqa: F401  registers, and mends what is broken in the libraries
from uniformer_mm import launch
from uniformer_mm.engine import CheckpointGuardHook

if TYPE_CHECKING:
    from mmdet.apis import DetInferencer

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file of a detector')
    parser.add_argument('checkpoint', help='its trained weights')
    parser.add_argument('input', type=Path, help='image, or folder of images')
    parser.add_argument(
        '--out-dir', type=Path, default=Path('work_dirs/detections'), help='default: %(default)s'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace pictures that are there already'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='draw from this score; default: %(default)s'
    )
    parser.add_argument(
        '--save-predictions',
        action='store_true',
        help='also write boxes, classes, scores and masks to DIR/preds/NAME.json',
    )
    parser.add_argument('--device', help='e.g. cpu or cuda:1; default: a GPU if there is one')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=launch.OptionAction,
        default={},
        metavar='KEY=VALUE',
        help='change entries of the config',
    )
    return parser.parse_args()


def find_images(path: Path) -> list[Path]:
    """The image itself, or the images of a folder in the order of their names.

    Raises:
        UserError: If there is none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise launch.UserError(f'There is no image or folder {path}.')
    images = sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS)
    if not images:
        raise launch.UserError(f'{path} holds no image ({", ".join(EXTENSIONS)}).')
    return images


def build_inferencer(cfg: Config, checkpoint: str, device: str | None) -> 'DetInferencer':
    """mmdet's inferencer, but weights that do not fit are refused, not left out."""
    from mmdet.apis import DetInferencer

    class StrictInferencer(DetInferencer):
        def _load_weights_to_model(self, model, weights, cfg) -> None:
            CheckpointGuardHook().load(model, weights, checkpoint)
            super()._load_weights_to_model(model, weights, cfg)

    cfg.visualizer.vis_backends = None  # the inferencer writes the pictures
    return StrictInferencer(cfg, checkpoint, device=device, show_progress=False)


def main() -> None:
    args = parse_args()
    cfg, _ = launch.load_config(args.config, args.cfg_options)
    if cfg.get('default_scope') != 'mmdet':
        raise launch.UserError(
            f'{args.config} is no config for mmdet: its default_scope is '
            f'{cfg.get("default_scope")!r}.'
        )
    launch.peek_checkpoint(args.checkpoint)

    images = find_images(args.input)
    for image in images:
        picture = args.out_dir / 'vis' / image.name
        if picture.exists() and not args.overwrite:
            raise launch.UserError(f'{picture} exists already; add --overwrite to replace it.')

    inferencer = build_inferencer(cfg, args.checkpoint, args.device)
    unreadable = []
    for image in images:
        try:
            result = inferencer(
                str(image),
                out_dir=str(args.out_dir),
                pred_score_thr=args.score_thr,
                no_save_pred=not args.save_predictions,
            )
        except (AssertionError, OSError, ValueError, cv2.error) as error:
            unreadable.append(f'{image}: {error}')
            continue
        scores = result['predictions'][0]['scores']
        found = sum(score >= args.score_thr for score in scores)
        print(f'{args.out_dir / "vis" / image.name}: {found} found', flush=True)
    if unreadable:
        raise launch.UserError(
            f'{len(unreadable)} of {len(images)} images were skipped:\n  ' + '\n  '.join(unreadable)
        )


if __name__ == '__main__':
    launch.run_tool(main)
