"""The authors' segmentation files, as mmseg 0.x saved them, are our segmentors' files."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from paper_configs import read_config

from uniformer_mm.checkpoints import CheckpointError, load_model
from uniformer_mm.models.layers import STYLES

ROOT = Path(__file__).resolve().parents[2]
# Names and shapes of mmseg 0.x's UPerHead and FCNHead, FPN and FPNHead in the order of its files.
HEADS = json.loads((ROOT / 'tests/data/mmseg0_heads.json').read_text())
CONFIGS = {
    'upernet': ('uniformer-s-g_upernet_8xb2-160k_ade20k-512x512', 51_521_132),
    'fpn': ('uniformer-s-g_fpn_8xb4-80k_ade20k-512x512', 25_299_926),
}


@pytest.fixture(scope='module', params=HEADS)
def old_file(request, golden_dense, tmp_path_factory) -> Path:
    """A file with the names and shapes of the authors' one, and what else mmcv 1.x wrote."""
    shapes = {f'backbone.{k}': s for k, s in golden_dense['maps']['uniformer_small_dense'].items()}
    shapes |= HEADS[request.param]
    torch.manual_seed(0)
    state = {
        name: torch.rand(shape) if shape else torch.zeros((), dtype=torch.long)
        for name, shape in shapes.items()
    }
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    learned = [v for k, v in state.items() if not k.endswith(statistics)]
    assert sum(v.numel() for v in learned) == CONFIGS[request.param][1]
    meta = dict(mmseg_version='0.11.0', iter=160000, epoch=127)
    meta.update(CLASSES=('wall', 'building'), PALETTE=[[1, 2, 3]] * 2)
    path = tmp_path_factory.mktemp('old') / f'{request.param}_global_small.pth'
    torch.save(dict(meta=meta, state_dict=state, optimizer=dict(param_groups=[])), path)
    return path


def build(kind: str, style: str = 'global') -> torch.nn.Module:
    cfg = read_config(ROOT / f'configs/ade20k/{CONFIGS[kind][0]}.py').model
    cfg.backbone.update(init_cfg=None, stage3_style=style, window_size=32)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return revert_sync_batchnorm(MODELS.build(cfg))


def test_fits_every_row_of_the_table(old_file) -> None:
    """Names and shapes are those of the model, all of them, whatever the attention of stage 3."""
    kind = old_file.stem.partition('_')[0]
    checkpoint = torch.load(old_file)
    expected = checkpoint['state_dict'].copy()
    for style in STYLES:
        model = build(kind, style)
        own = model.state_dict()
        assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in expected.items()}
        load_model(model, checkpoint, str(old_file))
        assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
    (other,) = HEADS.keys() - {kind}
    with pytest.raises(CheckpointError, match='does not fit the model'):
        load_model(build(other), checkpoint, str(old_file))


def test_converts_to_a_clean_file(old_file, run_main, tmp_path) -> None:
    command = ('tools/checkpoints/convert.py', old_file, tmp_path / 'new.pth', '--task', 'dense')
    assert run_main(*command) == 0
    written, source = torch.load(tmp_path / 'new.pth'), torch.load(old_file)
    assert written.keys() == {'meta', 'state_dict'}
    assert written['state_dict'].keys() == source['state_dict'].keys()
    meta = written['meta']
    assert (meta['arch'], meta['head_dim']) == ('small', 64)
    assert meta['dataset_meta'] == dict(classes=('wall', 'building'), palette=[[1, 2, 3]] * 2)
    assert '--to mm' in run_main(*command, '--to', 'official', '--force')
