"""Draw the skeletons of everybody in many images in one picture.

Reads what ``tools/test.py CONFIG CHECKPOINT --dump predictions.pkl`` wrote; mmpose's visualizer
draws each image, enlarged, so that small images stay readable.

Example:
    python tools/visualization/pose_grid.py CONFIG predictions.pkl poses.png
"""

import mmengine
import numpy as np
from grid import add_row_arguments, check_files, make_parser, save_rows
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.registry import DATASETS, VISUALIZERS
from mmpose.structures import PoseDataSample
from mmpose.visualization import PoseLocalVisualizer
from PIL import Image

import uniformer_mm  # noqa: F401  repairs what is broken in the libraries


def build_visualizer(cfg: Config) -> PoseLocalVisualizer:
    """The config's visualizer, with the skeleton of its test data."""
    look = dict(name='pose_grid', vis_backends=None, radius=5, line_width=3)
    visualizer = VISUALIZERS.build({**cfg.visualizer, **look})
    dataset = {**cfg.test_dataloader.dataset, 'pipeline': [], 'lazy_init': True}
    visualizer.set_dataset_meta(DATASETS.build(dataset).metainfo)
    return visualizer


def group_by_image(samples: list[dict], score_thr: float) -> dict[str, list[dict]]:
    """People whose boxes reach the score, by image in the order of the dump."""
    people: dict[str, list[dict]] = {}
    for sample in samples:
        found = people.setdefault(sample['img_path'], [])
        if sample['pred_instances']['bbox_scores'].max() >= score_thr:
            found.append(sample['pred_instances'])
    return people


def draw_image(
    visualizer: PoseLocalVisualizer, path: str, people: list[dict], height: int, keypoint_thr: float
) -> np.ndarray:
    """An image with the skeletons of ``people``, enlarged to ``height``: (H, W, 3) uint8, RGB."""
    image = Image.open(path).convert('RGB')
    scale = height / image.height
    size = round(image.width * scale), height
    picture = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
    if not people:
        return picture
    instances = InstanceData(
        # Pixel centers are integers.
        keypoints=np.concatenate([p['keypoints'] for p in people]) * scale + (scale - 1) / 2,
        keypoint_scores=np.concatenate([p['keypoint_scores'] for p in people]),
    )
    sample = PoseDataSample(pred_instances=instances)
    return visualizer.add_datasample(
        '', picture, sample, draw_gt=False, draw_bbox=False, kpt_thr=keypoint_thr
    )


def main() -> None:
    parser = make_parser(__doc__, number=13)
    add_row_arguments(parser, height=320)
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.5,
        help='draw people whose box has this score; default: %(default)s',
    )
    parser.add_argument(
        '--keypoint-thr',
        type=float,
        default=0.3,
        help='draw keypoints from this score; default: %(default)s',
    )
    args = parser.parse_args()
    check_files(args.config, args.predictions)
    people = group_by_image(mmengine.load(str(args.predictions)), args.score_thr)
    visualizer = build_visualizer(Config.fromfile(args.config))
    pictures = [
        draw_image(visualizer, path, found, args.height, args.keypoint_thr)
        for path, found in list(people.items())[: args.number]
    ]
    save_rows(pictures, args.out, args.width)


if __name__ == '__main__':
    main()
