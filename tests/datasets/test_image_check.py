"""Image files that are no whole images."""

import io
import zlib
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from mmengine.runner import BaseLoop
from PIL import Image

from uniformer_mm.cli import UserError
from uniformer_mm.datasets import CheckImageFile
from uniformer_mm.datasets.transforms.image_check import check_pixels, image_size, is_cut_off
from uniformer_mm.engine import ImageCheckHook


def write(path: Path, orientation: int = 1, thumbnail: bool = False) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if thumbnail:
        small = io.BytesIO()
        image.resize((8, 8)).save(small, 'JPEG')
        exif[0x927C] = small.getvalue()  # where cameras put what they like
    image.save(path, exif=exif)
    return path


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
@pytest.mark.parametrize('thumbnail', [False, True])
def test_cut_off(name, thumbnail, tmp_path) -> None:
    path = write(tmp_path / name, thumbnail=thumbnail)
    content = path.read_bytes()
    assert not is_cut_off(path)
    path.write_bytes(content + bytes(50))
    assert not is_cut_off(path), 'something behind the end'
    check_pixels(path)
    for share in (0.5, 0.9, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        assert is_cut_off(path)
        with pytest.raises(OSError, match='cut off'):
            check_pixels(path)


def test_size(tmp_path) -> None:
    assert image_size(write(tmp_path / 'a.jpg')) == (40, 60)
    assert image_size(write(tmp_path / 'a.jpg', orientation=6)) == (60, 40), 'as it is shown'
    (tmp_path / 'a.jpg').write_text('no image')
    assert image_size(tmp_path / 'a.jpg') is None


def test_step(tmp_path, log) -> None:
    step, path = CheckImageFile(), write(tmp_path / 'a.png')
    info = dict(img_path=str(path), height=40, width=60)
    assert step.transform(dict(info)) == info
    with pytest.raises(UserError, match='60 x 40 pixels; its annotations are for an image of 61'):
        step.transform(dict(info, width=61))
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    for _ in range(2):
        step.transform(dict(info))
    assert log.text.count('is cut off') == 1
    header = b'IHDR' + (30000).to_bytes(4, 'big') * 2 + content[24:29]
    claim = content[:12] + header + zlib.crc32(header).to_bytes(4, 'big') + content[33:]
    path.write_bytes(claim)
    with pytest.raises(UserError, match='an image: more than 178,956,970'):
        step.transform(dict(info))
    path.write_bytes(b'')
    with pytest.raises(UserError, match='the file is empty'):
        step.transform(dict(info))
    assert step.transform(dict(img_path='s3://bucket/a.png')), 'not of this machine'


def test_a_hook_lets_data_sets_look(tmp_path) -> None:
    """The empty file is named before the library's own step sees it."""
    from mmcv.transforms import Compose, LoadImageFromFile

    dataset = SimpleNamespace(pipeline=Compose([LoadImageFromFile()]))
    loop = Mock(spec=BaseLoop, dataloader=SimpleNamespace(dataset=SimpleNamespace(dataset=dataset)))
    ImageCheckHook().before_run(
        SimpleNamespace(_train_loop=loop, _val_loop=None, _test_loop={'type': 'not built'})
    )
    (tmp_path / 'a.png').touch()
    with pytest.raises(UserError, match='a.png cannot be read as an image: the file is empty'):
        dataset.pipeline({'img_path': str(tmp_path / 'a.png')})
