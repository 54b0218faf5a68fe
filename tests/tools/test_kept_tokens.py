"""The pictures of the tokens that a light network keeps."""

from pathlib import Path

import kept_tokens
import looking
import numpy as np
import pytest
import torch
from PIL import Image

from uniformer_mm import UniFormerLight

pytest.importorskip('mmpretrain')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mini'
TOOL = 'tools/visualization/kept_tokens.py'


def test_masks_are_those_of_the_blocks() -> None:
    """The first block ranks all tokens, the others keep half of them; stage 4 has a quarter."""
    backbone = UniFormerLight('mini').eval()
    masks = kept_tokens.kept_tokens(backbone, torch.randn(1, 3, 96, 64))
    assert list(masks) == [*(f'stage 3, block {i}' for i in range(1, 5)), 'stage 4, block 1']
    assert [tuple(mask.shape) for mask in masks.values()] == [(6, 4)] * 4 + [(3, 2)]
    assert [int(mask.sum()) for mask in masks.values()] == [24, 12, 12, 12, 3]
    assert not any(block._forward_pre_hooks for block in backbone.blocks3)


def test_dropped_tokens_are_pale() -> None:
    picture = np.full((40, 60, 3), 100, np.uint8)
    drawn = looking.fade(picture, torch.tensor([[True, False, True], [False, True, False]]))
    assert (drawn[:20, :20] == 100).all() and (drawn[:20, 20:40] == 224).all()
    assert (drawn[20:, 20:40] == 100).all() and (drawn[20:, 40:] == 224).all()


def test_pictures_of_a_folder(random_weights, run_main, tmp_path) -> None:
    config = CONFIGS / 'uniformer-light-mini_1xb32_digits.py'
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in 'ab':
        Image.effect_noise((90, 120), 60).convert('RGB').save(folder / f'{name}.png')
    weights, out = random_weights(config), ('--out-dir', tmp_path / 'out')
    assert run_main(TOOL, config, weights, folder, *out) == 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.png', 'b.png']
    assert 'add --overwrite' in run_main(TOOL, config, weights, folder, *out)

    plain = CONFIGS / 'uniformer-mini_1xb32_digits.py'
    said = run_main(TOOL, plain, random_weights(plain), folder, *out, '--overwrite')
    assert 'The backbone UniFormer keeps all tokens' in said
