"""COCO's people for mmpose, with annotations and detections that are checked as they are read.

This module imports mmpose; the registry imports it as soon as a config asks for its types.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from mmengine import fileio
from mmpose.datasets import CocoDataset
from mmpose.evaluation import CocoMetric
from xtcocotools.coco import COCO

from uniformer_mm.errors import UserError
from uniformer_mm.registry import DATASETS, METRICS

from .coco_check import CheckedIndex, LeftOut, are_numbers, is_box

PERSON = 1


class _CheckedCOCO(CheckedIndex, COCO):
    """xtcocotools' index of an annotation file that has been checked."""


def _read(path: str, num_keypoints: int) -> _CheckedCOCO:
    with fileio.get_local_path(path) as local_path:
        return _CheckedCOCO(local_path, num_keypoints=num_keypoints)


@DATASETS.register_module()
class CheckedPoseDataset(CocoDataset):
    """mmpose's ``CocoDataset`` that leaves out and counts annotations and detections of no use.

    Files of detections are JSON only: a pickle could run code. Keypoints that change places in a
    mirrored image must do so in pairs, or mirrored images would be trained with others.

    Args:
        *args, **kwargs: Those of ``CocoDataset``.

    Raises:
        UserError: If a file as a whole or the skeleton cannot be used.
    """

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        skeleton = super()._load_metainfo(metainfo)
        partners, names = skeleton['flip_indices'], skeleton['keypoint_id2name']
        for number, partner in enumerate(partners):
            if partners[partner] != number:
                raise UserError(
                    f'The skeleton {skeleton["dataset_name"]!r} swaps {names[number]!r} with '
                    f'{names[partner]!r}, and that with {names[partners[partner]]!r}: a swap is '
                    'mutual, and empty for a keypoint in the middle.'
                )
        return skeleton

    def _open(self) -> _CheckedCOCO:
        coco = _read(self.ann_file, self._metainfo['num_keypoints'])
        self._metainfo['CLASSES'] = coco.loadCats(coco.getCatIds())
        return coco

    def _path_of(self, image: dict) -> str:
        return fileio.join_path(self.data_prefix['img'], image['file_name'])

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        coco, people, images = self._open(), [], []
        for number, image in coco.imgs.items():
            if self.sample_interval == 1 or number % self.sample_interval == 0:
                image.update(img_id=number, img_path=self._path_of(image))
                images.append(image)
                infos = (
                    self.parse_data_info(dict(raw_ann_info=annotation, raw_img_info=image))
                    for annotation in coco.imgToAnns.get(number, ())
                )
                people += [info for info in infos if info]
        return people, images

    def _load_detection_results(self) -> list[dict]:
        coco, data_list = self._open(), []
        left_out = LeftOut('detections', self.bbox_file)
        detections = _read_detections(self.bbox_file)
        for place, detection in enumerate(detections):
            if detection.get('category_id') != PERSON:
                continue
            number, score = detection.get('image_id'), detection.get('score')
            image = coco.imgs.get(number) if type(number) is int else None
            if image is None:
                left_out.add(place, 'an image_id that no image has')
                continue
            box = detection.get('bbox')
            box = box[:4] if isinstance(box, list) else box
            if not is_box(box, 4 * (image['height'] + image['width'])):
                left_out.add(place, 'a bbox that is none')
                continue
            if not are_numbers([score], 1e6):
                left_out.add(place, 'a score that is no number')
                continue
            x, y, width, height = box
            data_list.append(
                dict(
                    img_id=number,
                    img_path=self._path_of(image),
                    img_shape=(image['height'], image['width']),
                    bbox=np.array([[x, y, x + width, y + height]], np.float32),
                    bbox_score=np.array([score], np.float32),
                    # Nothing is known of the keypoints.
                    keypoints=np.zeros((1, self._metainfo['num_keypoints'], 2), np.float32),
                    keypoints_visible=np.ones((1, self._metainfo['num_keypoints']), np.float32),
                    id=len(data_list),
                )
            )
        left_out.report(len(detections))
        return data_list


def _read_detections(path: str) -> list[dict]:
    try:
        detections = json.loads(fileio.get_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is no file of JSON ({type(error).__name__}: {error}).') from error
    if not isinstance(detections, list) or not all(type(entry) is dict for entry in detections):
        raise UserError(
            f'{path}: expected detections as COCO writes results, a list of image_id, '
            'category_id, bbox and score.'
        )
    return detections


@METRICS.register_module()
class CheckedPoseMetric(CocoMetric):
    """mmpose's ``CocoMetric`` on the annotations that :class:`CheckedPoseDataset` keeps.

    Args:
        ann_file (str, optional): The annotation file.
        *args, **kwargs: The others of ``CocoMetric``.

    Raises:
        UserError: If the file has no annotations, and scores are wanted, or a keypoint no sigma.
    """

    def __init__(self, ann_file: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(None, *args, **kwargs)
        self.ann_file = ann_file

    @CocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        sigmas, num_keypoints = len(dataset_meta['sigmas']), dataset_meta['num_keypoints']
        if sigmas != num_keypoints:
            raise UserError(
                f'The skeleton {dataset_meta["dataset_name"]!r} has {num_keypoints} keypoints and '
                f'{sigmas} sigmas, by which scores are taken: give one for each.'
            )
        if self.ann_file is not None and self.coco is None:
            self.coco = _read(self.ann_file, dataset_meta['num_keypoints'])
            if 'annotations' not in self.coco.dataset and not self.format_only:
                raise UserError(f'{self.ann_file} has no annotations, by which scores are taken.')
        CocoMetric.dataset_meta.fset(self, dataset_meta)
