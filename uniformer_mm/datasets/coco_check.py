"""Annotation files in COCO's format, looked at before a library builds its index.

pycocotools believes what it reads: a mask of another size than its image ends the process, a
missing ``iscrowd`` a run at its first evaluation, and a box of NaN becomes a loss of NaN.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log

from uniformer_mm.errors import UserError

IDS = (int, str)
NAMED = 5  # annotations of each kind of fault that are named


class CheckedIndex:
    """Mixin for a library's ``COCO`` that leaves out and counts annotations of no use.

    Args:
        path: The annotation file.
        needs_masks: Whether each annotation must have a segmentation. Defaults to False.
        num_keypoints: How many keypoints those of people must have. Defaults to None, for files of
            which no keypoints are read.

    Raises:
        UserError: If the file as a whole cannot be used.
    """

    def __init__(
        self, path: str, needs_masks: bool = False, num_keypoints: int | None = None
    ) -> None:
        self.path = path
        self.needs_masks, self.num_keypoints = needs_masks, num_keypoints
        try:
            super().__init__(path)
        except (ValueError, AssertionError, RecursionError) as error:
            raise UserError(
                f'{path} cannot be read as annotations of COCO: {type(error).__name__}: {error}'
            ) from error

    def createIndex(self) -> None:  # noqa: N802  pycocotools calls it when it has read the file
        """Check what was read, then index it."""
        check_coco(self.dataset, self.path, self.needs_masks, self.num_keypoints)
        super().createIndex()


def check_coco(
    content: dict, path: str, needs_masks: bool = False, num_keypoints: int | None = None
) -> None:
    """Leave out annotations that cannot be used, complete others, and log how many.

    A missing or null ``iscrowd`` is 0, a missing ``area`` that of the box. Single polygons that are
    none are taken out of a segmentation.

    Args:
        content: What the file holds; changed in place.
        path: Its name, for messages.
        needs_masks: As of :class:`CheckedIndex`.
        num_keypoints: As of :class:`CheckedIndex`.

    Raises:
        UserError: If images or categories are missing, or one of them is wrong.
    """
    images = _check_images(_entries(content, 'images', path), path)
    _check_categories(_entries(content, 'categories', path), path)
    content.setdefault('info', {})
    if 'annotations' not in content:  # the files of COCO's test images
        return
    left_out, kept, seen = LeftOut('annotations', path), [], set()
    for place, annotation in enumerate(_entries(content, 'annotations', path)):
        if type(annotation) is not dict:
            left_out.add(place, 'no object of JSON')
            continue
        fault = _complete(annotation, images, needs_masks, num_keypoints)
        number = annotation.get('id')
        if not fault and number in seen:
            fault = 'an id that another has'
        if fault:
            left_out.add(number, fault)
        else:
            seen.add(number)
            kept.append(annotation)
    left_out.report(len(content['annotations']))
    content['annotations'] = kept


class LeftOut:
    """Counts what is left out of a file, and names some of it.

    Args:
        kind: What it is, in the plural.
        path: The file.
    """

    def __init__(self, kind: str, path: str) -> None:
        self.kind, self.path = kind, path
        self.numbers: dict[str, list] = defaultdict(list)

    def add(self, number: Any, fault: str) -> None:
        """Count one by its id, or its place in the file."""
        self.numbers[fault].append(number)

    def report(self, total: int) -> None:
        """Warn if anything was left out."""
        if not self.numbers:
            return
        count = sum(map(len, self.numbers.values()))
        faults = '; '.join(f'{fault}: {_some(numbers)}' for fault, numbers in self.numbers.items())
        print_log(
            f'{self.path}: {count} of {total} {self.kind} cannot be used and are left out: '
            f'{faults}.',
            logger='current',
            level=logging.WARNING,
        )


def _some(numbers: list) -> str:
    more = f' and {len(numbers) - NAMED} more' if len(numbers) > NAMED else ''
    return ', '.join(f'{number!r:.40}' for number in numbers[:NAMED]) + more


def _entries(content: dict, kind: str, path: str) -> list[dict]:
    entries = content.get(kind)
    if not isinstance(entries, list):
        raise UserError(f'{path} has no list of {kind}: expected an annotation file of COCO.')
    return entries


def _require_names(entry: object, kind: str, place: int, path: str) -> None:
    if type(entry) is not dict:
        raise UserError(
            f'{path}: entry {place} of {kind} is {entry!r:.40}: expected an object of JSON.'
        )


def _check_images(images: list[dict], path: str) -> dict[Any, tuple[float, float]]:
    """Height and width of the images by their ids."""
    sizes = {}
    for place, image in enumerate(images):
        _require_names(image, 'images', place, path)
        number, size = image.get('id'), [image.get('height'), image.get('width')]
        name = image.get('file_name')
        if type(number) not in IDS or not isinstance(name, str) or not name:
            raise UserError(f'{path}: image {place} (id {number!r}) has no id or no file_name.')
        if not are_numbers(size, 1 << 30) or min(size) < 1:
            raise UserError(
                f'{path}: image {number} ({name}) has height {size[0]!r} and width {size[1]!r}.'
            )
        if number in sizes:
            raise UserError(f'{path} has two images with the id {number}; the second is {name}.')
        sizes[number] = tuple(size)
    return sizes


def _check_categories(categories: list[dict], path: str) -> None:
    seen = set()
    for place, category in enumerate(categories):
        _require_names(category, 'categories', place, path)
        number = category.get('id')
        if type(number) is not int or not isinstance(category.get('name'), str):
            raise UserError(f'{path} has a category without id or name: {str(category):.80}')
        if number in seen:
            raise UserError(f'{path} has two categories with the id {number}.')
        seen.add(number)


def are_numbers(values: Any, limit: float) -> bool:
    """Whether a list holds finite numbers only, none of them beyond a limit."""
    if type(values) is not list:
        return False
    try:
        return math.isfinite(sum(values)) and -limit <= min(values) and max(values) <= limit
    except (TypeError, ValueError, OverflowError):  # something else, nothing, 10 ** 400
        return False


def is_box(values: Any, limit: float) -> bool:
    """Whether a list is x, y, width and height, which may be 0."""
    return are_numbers(values, limit) and len(values) == 4 and min(values[2:]) >= 0


def _complete(annotation: dict, images: dict, needs_masks: bool, num_keypoints: int | None) -> str:
    """What keeps an annotation from being used, or nothing; missing entries are filled in."""
    if type(annotation.get('id')) not in IDS:
        return 'no id'
    image = annotation.get('image_id')
    size = images.get(image) if type(image) in IDS else None
    if size is None:
        return 'an image_id that no image has'
    if type(annotation.get('category_id')) is not int:
        return 'no category_id'
    # No object lies that far outside, and masks are drawn along their whole outline.
    limit = 4 * sum(size)
    box = annotation.get('bbox')
    if not is_box(box, limit):
        return 'a bbox that is none'
    if annotation.get('iscrowd') is None:
        annotation['iscrowd'] = 0
    if annotation['iscrowd'] not in (0, 1):
        return 'an iscrowd that is not 0 or 1'
    if not are_numbers([annotation.get('area')], math.inf):
        annotation['area'] = box[2] * box[3]
    if num_keypoints is not None:
        return _complete_keypoints(annotation, num_keypoints, limit)
    mask = annotation.get('segmentation')
    if not mask:
        annotation.pop('segmentation', None)
        return 'no segmentation' if needs_masks else ''
    return _mask_fault(annotation, size, limit)


def _complete_keypoints(annotation: dict, count: int, limit: float) -> str:
    points = annotation.get('keypoints')
    if points is None:
        return ''  # an object without keypoints
    if not are_numbers(points, limit) or len(points) != 3 * count:
        return f'keypoints that are not {count} times x, y and a flag'
    if not all(flag in (0, 1, 2) for flag in points[2::3]):
        return 'keypoints with a flag that is not 0, 1 or 2'
    if type(annotation.get('num_keypoints')) is not int:
        annotation['num_keypoints'] = sum(flag > 0 for flag in points[2::3])
    return ''


def _mask_fault(annotation: dict, size: tuple[float, float], limit: float) -> str:
    mask = annotation['segmentation']
    if isinstance(mask, list):
        polygons = [p for p in mask if are_numbers(p, limit) and len(p) >= 6 and not len(p) % 2]
        annotation['segmentation'] = polygons
        return '' if polygons else 'polygons that are not 3 or more points'
    if not isinstance(mask, dict):
        return 'a segmentation that is no polygons and no RLE'
    runs = mask.get('counts')
    runs = list(_decode_runs(runs)) if isinstance(runs, str) else runs
    fits = (
        mask.get('size') == list(size)
        and isinstance(runs, list)
        and all(type(run) is int and run >= 0 for run in runs)
        and sum(runs) == math.prod(size)
    )
    return '' if fits else 'an RLE that does not fit its image'


def _decode_runs(text: str) -> Iterator[int]:
    """Lengths of the runs of a compressed RLE; -1 where it is none.

    Each is a number of 5 bits a character, the lowest first; from the fourth on it is what it
    exceeds the last but one by.
    """
    runs, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            yield -1
            return
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            yield runs[-1]
            value = shift = 0
    if shift:
        yield -1
