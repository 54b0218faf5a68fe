"""Label maps of any classifier."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS, DefaultScope
from paper_configs import read_config
from PIL import Image

from uniformer_mm.datasets.token_labels import TokenLabelDataset

TOOL = 'tools/data/make_label_maps.py'
RESNET = """
_base_ = [{tiny!r}]
model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.ResNet', depth=18, out_indices=(2, 3)),
    head=dict(in_channels=512),
)
"""
NO_MAP = """
_base_ = [{tiny!r}]
model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.VisionTransformer', arch='deit-t', img_size=64),
    neck=None,
    head=dict(_delete_=True, type='VisionTransformerClsHead', num_classes=4, in_channels=192),
)
"""


@pytest.fixture
def images(tiny_config, tmp_path) -> Path:
    """Four images in two folders, of several sizes."""
    rng = np.random.default_rng(0)
    for name, shape in (('a/1.png', (70, 64)), ('a/2.JPEG', (64, 90)), ('b/1.png', (80, 80))):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(path)
    return tmp_path / 'images'


@pytest.fixture
def make(tiny_config, random_weights, images, tmp_path, run_main) -> Callable[..., object]:
    """Run the tool at 64 pixels into ``maps``; returns what it exits with."""

    def run(*args: object, config: Path = tiny_config, root: Path = images) -> object:
        target = (config, random_weights(config), root, tmp_path / 'maps')
        return run_main(TOOL, *target, '--size', 64, '--workers', 0, '--device', 'cpu', *args)

    return run


def write_config(text: str, tiny_config: Path, folder: Path) -> Path:
    path = folder / 'other.py'
    path.write_text(text.format(tiny=str(tiny_config)))
    return path


def classify(config: Path, weights: Path, image: Path) -> torch.Tensor:
    """Logits of the central square of an image at 64 pixels, (K,)."""
    from mmpretrain import get_model

    resize = dict(type='ResizeEdge', scale=64, backend='pillow', interpolation='bicubic')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = get_model(read_config(config), pretrained=str(weights)).eval()
        data = dict(img_path=str(image))
        load = dict(type='LoadImageFromFile')
        for step in (load, resize, dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')):
            data = TRANSFORMS.build(step)(data)
        inputs = model.data_preprocessor(dict(inputs=[data['inputs']]))['inputs']
    return model(inputs, mode='tensor')[0]


@pytest.mark.parametrize('kind', ['uniformer', 'resnet'])
@torch.no_grad()
def test_cells_add_up_to_the_classifier(
    kind, make, tiny_config, random_weights, images, tmp_path
) -> None:
    config = tiny_config if kind == 'uniformer' else write_config(RESNET, tiny_config, tmp_path)
    assert make('--topk', 4, '--batch-size', 2, config=config) == 0
    found = sorted(tmp_path.glob('maps/*/*'))
    assert [str(p.relative_to(tmp_path)) for p in found] == [
        'maps/a/1.pt',
        'maps/a/2.pt',
        'maps/b/1.pt',
    ]
    for path in found:
        label = torch.load(path, weights_only=True)
        assert label.dtype == torch.float16
        assert label.shape == (2, 4, 2, 2)
        scores, classes = label.float()
        assert (scores.diff(dim=0) <= 0).all(), 'the likeliest first'
        logits = torch.zeros(4, 2, 2).scatter_(0, classes.long(), scores)
        (image,) = images.glob(f'{path.parent.name}/{path.stem}.*')
        expected = classify(config, random_weights(config), image)
        torch.testing.assert_close(logits.mean((1, 2)), expected, rtol=2e-3, atol=2e-3)
        assert path.stat().st_size < 4000, 'not the whole batch'


def test_made_maps_can_be_trained_on(make, images, tmp_path) -> None:
    assert make('--topk', 2) == 0
    load = dict(type='uniformer_mm.LoadTokenLabel', num_classes=4)
    roots = dict(data_root=str(images), label_root=tmp_path / 'maps')
    dataset = TokenLabelDataset(**roots, pipeline=[load])
    assert [dataset[i]['token_label'].shape for i in range(3)] == [(2, 2, 2, 2)] * 3


def test_an_interrupted_run_goes_on(make, tmp_path, capsys) -> None:
    assert make() == 'error: --topk 5: expected 1 to 4 classes.'
    assert not (tmp_path / 'maps').exists()
    assert make('--topk', 2) == 0
    kept, lost = tmp_path / 'maps/a/1.pt', tmp_path / 'maps/b/1.pt'
    content, written = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    lost.with_name('.1.pt').write_bytes(b'half')  # as a run leaves it that was killed
    capsys.readouterr()
    assert make('--topk', 2) == 0
    said = capsys.readouterr().out
    assert '2 of 3 label maps are there already' in said
    assert '1 label maps made' in said
    assert lost.read_bytes() == content
    assert kept.stat().st_mtime_ns == written
    assert make('--topk', 2) == 0
    message = make('--topk', 3)
    assert 'holds label maps made with' in message
    assert message.endswith("'topk': 3}: give another folder.")


def test_a_broken_image_is_named_and_the_others_are_done(make, images, tmp_path) -> None:
    (images / 'a/2.JPEG').write_bytes((images / 'a/2.JPEG').read_bytes()[:50])
    (images / 'b/2.png').touch()
    message = make('--topk', 2)
    assert '2 of 4 images cannot be read' in message
    assert all(f'{images}/{name}: ' in message for name in ('a/2.JPEG', 'b/2.png'))
    assert len(list(tmp_path.glob('maps/*/*.pt'))) == 2


def test_what_cannot_be_done_is_said_first(make, images, tiny_config, tmp_path) -> None:
    config = write_config(NO_MAP, tiny_config, tmp_path)
    assert 'expected a classifier whose head scores the mean of a feature map' in make(
        config=config
    )
    assert make(root=tmp_path / 'no').startswith(f'error: There is no folder {tmp_path}/no.')
    (tmp_path / 'empty').mkdir()
    assert 'holds no image' in make(root=tmp_path / 'empty')
    (images / 'a/1.jpg').write_bytes((images / 'a/1.png').read_bytes())
    assert 'would have the same label map: rename one' in make()
    (images / 'a/1.jpg').unlink()
    (tmp_path / 'maps').mkdir()
    (tmp_path / 'maps/published.pt').touch()
    assert 'is not empty, and not of this tool' in make('--topk', 2)
