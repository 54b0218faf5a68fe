"""The authors' segmentation files, as mmseg 0.x saved them, are our segmentors' files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from paper_configs import read_config

from uniformer_mm.checkpoints import CheckpointError, load_model

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/ade20k'
CHANNELS = (64, 128, 320, 512)
UPERNET = 'uniformer-s-{}_upernet_8xb2-160k_ade20k-512x512'
FPN = 'uniformer-s-{}_fpn_8xb4-80k_ade20k-512x512'


def conv_bn(name: str, inputs: int, outputs: int, size: int) -> Iterator[tuple[str, tuple]]:
    """A ConvModule with BatchNorm."""
    yield f'{name}.conv.weight', (outputs, inputs, size, size)
    for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
        yield f'{name}.bn.{leaf}', (outputs,)
    yield f'{name}.bn.num_batches_tracked', ()


def conv(name: str, inputs: int, outputs: int, size: int) -> Iterator[tuple[str, tuple]]:
    yield f'{name}.weight', (outputs, inputs, size, size)
    yield f'{name}.bias', (outputs,)


def upernet_heads() -> Iterator[tuple[str, tuple]]:
    """Names and shapes of mmseg 0.x's UPerHead and FCNHead in the order of its files."""
    yield from conv('decode_head.conv_seg', 512, 150, 1)
    for i in range(4):  # pooled to 1, 2, 3 and 6
        yield from conv_bn(f'decode_head.psp_modules.{i}.1', 512, 512, 1)
    yield from conv_bn('decode_head.bottleneck', 512 + 4 * 512, 512, 3)
    for i, channels in enumerate(CHANNELS[:3]):
        yield from conv_bn(f'decode_head.lateral_convs.{i}', channels, 512, 1)
    for i in range(3):
        yield from conv_bn(f'decode_head.fpn_convs.{i}', 512, 512, 3)
    yield from conv_bn('decode_head.fpn_bottleneck', 4 * 512, 512, 3)
    yield from conv('auxiliary_head.conv_seg', 256, 150, 1)
    yield from conv_bn('auxiliary_head.convs.0', 320, 256, 3)


def fpn_heads() -> Iterator[tuple[str, tuple]]:
    """Likewise of its FPN and FPNHead."""
    for i, channels in enumerate(CHANNELS):
        yield from conv(f'neck.lateral_convs.{i}.conv', channels, 256, 1)
    for i in range(4):
        yield from conv(f'neck.fpn_convs.{i}.conv', 256, 256, 3)
    yield from conv('decode_head.conv_seg', 128, 150, 1)
    for level, convs in enumerate(((0,), (0,), (0, 2), (0, 2, 4))):  # between them, upsampling
        for i in convs:
            inputs = 128 if i else 256
            yield from conv_bn(f'decode_head.scale_heads.{level}.{i}', inputs, 128, 3)


HEADS = {
    'upernet_global_small': (upernet_heads, UPERNET, 51_521_132),
    'fpn_global_small': (fpn_heads, FPN, 25_299_926),
}


@pytest.fixture(scope='module', params=HEADS)
def old_file(request, golden_dense, tmp_path_factory) -> Path:
    """A file with the names and shapes of the authors' one, and what else mmcv 1.x wrote."""
    heads, _, num_params = HEADS[request.param]
    shapes = {f'backbone.{k}': s for k, s in golden_dense['maps']['uniformer_small_dense'].items()}
    shapes |= dict(heads())
    torch.manual_seed(0)
    state = {
        name: torch.zeros((), dtype=torch.long) if not shape else torch.rand(tuple(shape))
        for name, shape in shapes.items()
    }
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    learned = [v for k, v in state.items() if not k.endswith(statistics)]
    assert sum(v.numel() for v in learned) == num_params
    meta = dict(mmseg_version='0.11.0', iter=160000, epoch=127)
    meta.update(CLASSES=('wall', 'building'), PALETTE=[[1, 2, 3]] * 2)
    path = tmp_path_factory.mktemp('old') / f'{request.param}.pth'
    torch.save(dict(meta=meta, state_dict=state, optimizer=dict(param_groups=[])), path)
    return path


def build(name: str) -> torch.nn.Module:
    cfg = read_config(CONFIGS / f'{name}.py').model
    cfg.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        return revert_sync_batchnorm(MODELS.build(cfg))


def test_fits_every_row_of_the_table(old_file) -> None:
    """Names and shapes are those of the model, all of them, whatever the attention of stage 3."""
    _, config, _ = HEADS[old_file.stem]
    checkpoint = torch.load(old_file)
    expected = checkpoint['state_dict'].copy()
    for style in ('g', 'h32', 'w32'):
        model = build(config.format(style))
        own = model.state_dict()
        assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in expected.items()}
        load_model(model, checkpoint, str(old_file))
        assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())


def test_another_framework_does_not_fit(old_file) -> None:
    other = UPERNET if 'fpn' in old_file.stem else FPN
    with pytest.raises(CheckpointError, match='does not fit the model'):
        load_model(build(other.format('g')), torch.load(old_file), str(old_file))


def test_converts_to_a_clean_file(old_file, run_main, tmp_path) -> None:
    target = tmp_path / 'new.pth'
    assert run_main('tools/checkpoints/convert.py', old_file, target, '--task', 'dense') == 0
    written, source = torch.load(target), torch.load(old_file)
    assert written.keys() == {'meta', 'state_dict'}
    assert written['state_dict'].keys() == source['state_dict'].keys()
    meta = written['meta']
    assert (meta['arch'], meta['head_dim']) == ('small', 64)
    assert meta['dataset_meta'] == dict(classes=('wall', 'building'), palette=[[1, 2, 3]] * 2)
    again = run_main(
        *('tools/checkpoints/convert.py', old_file, tmp_path / 'a.pth'),
        *('--task', 'dense', '--to', 'official'),
    )
    assert '--to mm' in again
