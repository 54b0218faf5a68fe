"""Draw the classes of many images in one picture: image, prediction and truth side by side.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote; mmseg's visualizer
colours each image, enlarged, so that small images stay readable.

Example:
    python tools/visualization/segmentation_grid.py CONFIG predictions.pkl segmentations.png
"""

import mmengine
import numpy as np
import torch
from grid import add_row_arguments, check_files, make_parser, save_rows
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

import uniformer_mm  # noqa: F401  repairs what is broken in the libraries

THIN_GAP = 4


def build_visualizer(cfg: Config, opacity: float) -> SegLocalVisualizer:
    """The config's visualizer, with the classes and colours of its test data."""
    look = dict(name='segmentation_grid', vis_backends=None, alpha=opacity)
    visualizer = VISUALIZERS.build({**cfg.visualizer, **look})
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
    parser = make_parser(__doc__, number=12)
    add_row_arguments(parser, height=256)
    parser.add_argument(
        '--opacity', type=float, default=0.7, help='of the colours; default: %(default)s'
    )
    args = parser.parse_args()
    check_files(args.config, args.predictions)
    samples = mmengine.load(str(args.predictions))[: args.number]
    visualizer = build_visualizer(Config.fromfile(args.config), args.opacity)
    pictures = [draw_sample(visualizer, sample, args.height) for sample in samples]
    save_rows(pictures, args.out, args.width)


if __name__ == '__main__':
    main()
