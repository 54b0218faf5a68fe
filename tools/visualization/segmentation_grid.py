"""Draw the classes of many images in one picture: image, prediction and truth side by side.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote; mmseg's visualizer
colours each image, enlarged, so that small images stay readable.

Example:
    python tools/visualization/segmentation_grid.py CONFIG predictions.pkl segmentations.png
"""

import argparse
import sys
from pathlib import Path

import mmengine
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from PIL import Image
from rows import save_rows

import uniformer_mm  # noqa: F401  repairs what is broken in the libraries

THIN_GAP = 4


def build_visualizer(cfg: Config, opacity: float) -> SegLocalVisualizer:
    """The config's visualizer, with the classes and colours of its test data."""
    visualizer = VISUALIZERS.build({**cfg.visualizer, 'vis_backends': None, 'alpha': opacity})
    dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'pipeline': [], 'lazy_init': True})
    visualizer.set_dataset_meta(dataset.metainfo['classes'], dataset.metainfo['palette'])
    return visualizer


def enlarge(classes: np.ndarray | torch.Tensor, size: tuple[int, int]) -> SegDataSample:
    """Classes (1, H, W) in a sample to draw, of ``size`` (width, height)."""
    image = Image.fromarray(np.asarray(classes[0], np.uint8)).resize(size, Image.Resampling.NEAREST)
    return SegDataSample(pred_sem_seg=PixelData(data=torch.from_numpy(np.array(image))[None]))


def draw_sample(visualizer: SegLocalVisualizer, sample: dict, height: int) -> np.ndarray:
    """One image of the dump, what was found in it and, where it is known, what is there."""
    image = Image.open(sample['img_path']).convert('RGB')
    size = round(image.width * height / image.height), height
    plain = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    parts = [plain]
    for key in ('pred_sem_seg', 'gt_sem_seg'):
        if key in sample:
            found = enlarge(sample[key]['data'], size)
            visualizer.add_datasample('', plain, found, draw_gt=False, with_labels=False)
            parts += [np.zeros((height, THIN_GAP, 3), np.uint8), visualizer.get_image()]
    return np.concatenate(parts, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config the predictions were made with')
    parser.add_argument('predictions', type=Path, help='dump of tools/test.py')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument('--number', type=int, default=12, help='images; default: %(default)s')
    parser.add_argument(
        '--width', type=int, default=1700, help='of the whole in pixels; default: %(default)s'
    )
    parser.add_argument(
        '--height', type=int, default=256, help='of an image in pixels; default: %(default)s'
    )
    parser.add_argument(
        '--opacity', type=float, default=0.7, help='of the colours; default: %(default)s'
    )
    args = parser.parse_args()
    for file in (Path(args.config), args.predictions):
        if not file.is_file():
            sys.exit(f'error: there is no file {file}')
    samples = mmengine.load(str(args.predictions))[: args.number]
    visualizer = build_visualizer(Config.fromfile(args.config), args.opacity)
    pictures = [draw_sample(visualizer, sample, args.height) for sample in samples]
    save_rows(pictures, args.out, args.width)


if __name__ == '__main__':
    main()
