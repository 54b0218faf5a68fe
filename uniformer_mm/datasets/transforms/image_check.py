"""Image files, looked at before a library decodes them."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from uniformer_mm.errors import UserError
from uniformer_mm.registry import TRANSFORMS

_ORIENTATION = 0x0112  # EXIF; from 5 on decoders exchange the sides
_JPEG, _PNG = b'\xff\xd8', b'\x89PNG'


def image_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Height and width that decoders give an image, from its header; None if Pillow knows none.

    Raises:
        OSError: If it has more pixels than Pillow reads, or its header is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                turned = image.format in ('JPEG', 'PNG') and image.getexif().get(_ORIENTATION, 1)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        raise OSError(f'more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels') from None
    except Exception as error:  # the readers of the formats raise many types
        raise OSError(f'damaged ({type(error).__name__}: {error})') from error
    return (width, height) if turned in range(5, 9) else (height, width)


def is_cut_off(path: str | os.PathLike) -> bool:
    """Whether a JPEG or PNG has no end: OpenCV fills what is missing with grey, and says nothing.

    Reads the last bytes, and all of the file only if something comes behind the end.
    """
    with Path(path).open('rb') as file:
        head = file.read(4)
        end = {_JPEG: b'\xff\xd9', _PNG[:2]: b'IEND\xaeB`\x82'}.get(head[:2])
        if end is None:
            return False
        file.seek(-min(len(end), os.fstat(file.fileno()).st_size), os.SEEK_END)
        if file.read() == end:
            return False
        file.seek(0)
        content = file.read()
    return content.find(end, _start_of_scan(content) if head[:2] == _JPEG else 0) < 0


def _start_of_scan(content: bytes) -> int:
    """Where the pixels of a JPEG begin, behind thumbnails that have an end of their own."""
    place = 2
    while content[place : place + 1] == b'\xff' and content[place + 1 : place + 2] != b'\xda':
        place += 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
    return place


def check_pixels(path: str | os.PathLike) -> None:
    """Decode a whole image with Pillow, which tells damage that OpenCV passes over.

    Raises:
        OSError: If it is damaged, or has more pixels than Pillow reads. What Pillow does not know
            is left to others.
    """
    if image_size(path) is None:
        return
    if is_cut_off(path):
        raise OSError('cut off: its end is missing')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with Image.open(path) as image:
                np.asarray(image)
        except Exception as error:
            raise OSError(f'damaged ({type(error).__name__}: {error})') from error


@TRANSFORMS.register_module()
class CheckImageFile(BaseTransform):
    """Look at an image file before it is loaded.

    Refused are files that are empty, damaged in the header or too large, and images of another size
    than their annotations say, with which masks would be drawn beyond their memory. One that is cut
    off is loaded, since a long run should not end by it, with a warning that names it. Only local
    files are looked at. ``ImageCheckHook`` lets every data set of a run do so.

    Key: ``img_path``; ``height`` and ``width`` if the annotations say them. Nothing is changed.
    """

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def transform(self, results: dict) -> dict:
        """Check the file.

        Raises:
            UserError: Names the file, and what is wrong with it.
        """
        path = results.get('img_path')
        if not isinstance(path, str) or not Path(path).is_file():
            return results  # what loads it says more
        try:
            if not Path(path).stat().st_size:
                raise OSError('the file is empty')
            size = image_size(path)
        except OSError as error:
            raise UserError(f'{path} cannot be read as an image: {error}.') from error
        annotated = (results.get('height'), results.get('width'))
        if size is not None and None not in annotated and annotated != size:
            raise UserError(
                f'{path} has {size[1]} x {size[0]} pixels; its annotations are for an image of '
                f'{annotated[1]} x {annotated[0]} (width x height).'
            )
        if path not in self._warned and is_cut_off(path):
            self._warned.add(path)
            print_log(
                f'{path} is cut off: what is missing is grey.',
                logger='current',
                level=logging.WARNING,
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
