"""Draw detected boxes, classes, scores and masks of many images in one picture.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote; mmdet's visualizer
draws each image, enlarged, so that small images stay readable.

Example:
    python tools/visualization/detection_grid.py CONFIG predictions.pkl detections.png
"""

from pathlib import Path

import mmengine
import numpy as np
import torch
from grid import add_row_arguments, check_files, make_parser, save_rows
from mmdet.registry import DATASETS, VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools import mask as rle

import uniformer_mm  # noqa: F401  repairs what is broken in the libraries


def build_visualizer(cfg: Config) -> DetLocalVisualizer:
    """The config's visualizer, with the classes and colours of its test data."""
    look = dict(line_width=2, alpha=0.6, text_color=(255, 255, 255))
    look.update(name='detection_grid', vis_backends=None)
    visualizer = VISUALIZERS.build({**cfg.visualizer, **look})
    dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'lazy_init': True})
    visualizer.dataset_meta = dataset.metainfo
    return visualizer


def read_sample(sample: dict, scale: float, score_thr: float) -> tuple[np.ndarray, DetDataSample]:
    """An image of the dump and what was found on it, both enlarged: (H, W, 3) uint8, RGB."""
    image = Image.open(sample['img_path']).convert('RGB')
    size = round(image.width * scale), round(image.height * scale)
    found = sample['pred_instances']
    keep = found['scores'] >= score_thr
    instances = InstanceData(
        bboxes=found['bboxes'][keep] * scale,
        labels=found['labels'][keep],
        scores=found['scores'][keep],
    )
    if 'masks' in found:
        masks = [
            np.asarray(
                Image.fromarray(rle.decode(mask) * 255).resize(size, Image.Resampling.BICUBIC)
            )
            > 127
            for mask, is_kept in zip(found['masks'], keep, strict=True)
            if is_kept
        ]
        instances.masks = torch.from_numpy(
            np.stack(masks) if masks else np.zeros((0, *size[::-1]), bool)
        )
    picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    return picture, DetDataSample(pred_instances=instances)


def draw(
    cfg: Config, samples: list[dict], out: Path, width: int, height: int, score_thr: float
) -> None:
    """Write the picture: rows of images of equal ``height``, as many as ``width`` pixels hold."""
    visualizer = build_visualizer(cfg)
    pictures = []
    for sample in samples:
        picture, data_sample = read_sample(sample, height / sample['ori_shape'][0], score_thr)
        visualizer.add_datasample('', picture, data_sample, draw_gt=False, pred_score_thr=score_thr)
        pictures.append(visualizer.get_image())
    save_rows(pictures, out, width)


def main() -> None:
    parser = make_parser(__doc__, number=13)
    add_row_arguments(parser, height=320)
    parser.add_argument(
        '--score-thr', type=float, default=0.5, help='draw from this score; default: %(default)s'
    )
    args = parser.parse_args()
    check_files(args.config, args.predictions)
    samples = mmengine.load(str(args.predictions))[: args.number]
    cfg = Config.fromfile(args.config)
    draw(cfg, samples, args.out, args.width, args.height, args.score_thr)


if __name__ == '__main__':
    main()
