"""tools/checkpoints/convert.py: what it writes loads, and it destroys nothing."""

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import class_order, load_backbone, read_checkpoint

ARCH = {'depths': (1, 1, 1, 1), 'embed_dims': (16, 16, 16, 32), 'head_dim': 16}


@pytest.fixture
def convert(repo_root, monkeypatch, capsys):
    """Run the tool in this process; gives its exit code and what it said."""
    spec = importlib.util.spec_from_file_location(
        'convert', repo_root / 'tools/checkpoints/convert.py'
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def run(*args: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['convert.py', *map(str, args)])
        try:
            tool.main()
        except SystemExit as stop:
            return (stop.code, '') if isinstance(stop.code, int) else (1, str(stop.code))
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def official(tmp_path) -> Path:
    """An official training file with averaged weights."""
    state = UniFormer(ARCH, out_indices=(3,), final_norm=True).state_dict()
    state['head.weight'], state['head.bias'] = torch.rand(5, 32), torch.rand(5)
    averaged = {key: value + 1 for key, value in state.items()}
    path = tmp_path / 'official.pth'
    torch.save({'model': state, 'model_ema': averaged, 'optimizer': {'lr': 1}, 'epoch': 9}, path)
    return path


def test_to_mm(convert, official, tmp_path):
    code, said = convert(official, tmp_path / 'out' / 'mm.pth', '--head-dim', 16)
    assert code == 0 and said.splitlines()[-1] == f'Wrote {tmp_path / "out" / "mm.pth"}'
    source, written = torch.load(official), torch.load(tmp_path / 'out' / 'mm.pth')
    assert written.keys() == {'state_dict', 'meta'}
    state = written['state_dict']
    assert torch.equal(state['backbone.norm.weight'], source['model']['norm.weight'])
    assert torch.equal(state['head.fc.weight'], source['model']['head.weight'])
    assert len(state) == len(source['model'])
    meta = written['meta']
    assert meta['arch'].items() >= {**ARCH, 'mlp_ratio': 4.0, 'embed_types': ('patch',) * 4}.items()
    assert meta['head_dim'] == 16
    assert meta['source_file'] == 'official.pth'
    assert meta['source_sha256'] == hashlib.sha256(official.read_bytes()).hexdigest()
    assert meta['averaged'] is False


def test_loads_strictly_into_mmpretrain(convert, official, tmp_path):
    models = pytest.importorskip('mmpretrain.models')
    convert(official, tmp_path / 'mm.pth', '--head-dim', 16)
    model = models.build_classifier(
        {
            'type': 'ImageClassifier',
            'backbone': {
                'type': 'uniformer_mm.UniFormer',
                'arch': ARCH,
                'out_indices': (3,),
                'final_norm': True,
            },
            'neck': {'type': 'GlobalAveragePooling'},
            'head': {'type': 'LinearClsHead', 'num_classes': 5, 'in_channels': 32},
        }
    )
    model.load_state_dict(torch.load(tmp_path / 'mm.pth')['state_dict'], strict=True)


def test_ema(convert, official, tmp_path):
    assert convert(official, tmp_path / 'mm.pth', '--head-dim', 16, '--ema')[0] == 0
    written = torch.load(tmp_path / 'mm.pth')
    assert written['meta']['averaged'] is True
    expected = torch.load(official)['model_ema']['norm.weight']
    assert torch.equal(written['state_dict']['backbone.norm.weight'], expected)


def test_there_and_back(convert, official, tmp_path):
    """The second conversion knows head_dim from the first."""
    convert(official, tmp_path / 'mm.pth', '--head-dim', 16)
    code, said = convert(
        tmp_path / 'mm.pth', tmp_path / 'published.pth', '--to', 'official', '--add-hash'
    )
    assert code == 0
    published = Path(said.split()[-1])
    assert published.stem == f'published-{hashlib.sha256(published.read_bytes()).hexdigest()[:8]}'
    source, written = torch.load(official)['model'], torch.load(published)
    assert written.keys() == {'model', 'meta'}
    assert written['model'].keys() == source.keys()
    assert all(torch.equal(written['model'][key], source[key]) for key in source)
    load_backbone(UniFormer(ARCH), published)


def test_backbone_only(convert, official, tmp_path):
    code, _ = convert(
        *(official, tmp_path / 'a.pth', '--head-dim', 16),
        *('--task', 'backbone', '--to', 'official'),
    )
    assert code == 0
    assert not read_checkpoint(tmp_path / 'a.pth').classifier


def test_dense_checkpoint(convert, tmp_path):
    dense = UniFormer(ARCH, out_indices=(1, 2, 3)).state_dict()
    state = {f'backbone.{key}': value for key, value in dense.items()}
    torch.save({'state_dict': {**state, 'neck.weight': torch.zeros(1)}}, tmp_path / 'dense.pth')
    args = (tmp_path / 'dense.pth', tmp_path / 'a.pth', '--head-dim', 16)
    code, said = convert(*args)
    assert code == 1 and '--task dense or --task backbone' in said
    assert convert(*args, '--task', 'backbone')[0] == 0
    written = torch.load(tmp_path / 'a.pth')
    assert written['state_dict'].keys() == state.keys()
    assert written['meta']['out_indices'] == (1, 2, 3)


@pytest.fixture
def kinetics(tmp_path) -> Path:
    """An official video file; bias i of its head is i."""
    state = UniFormer3D(ARCH).state_dict()
    state['head.weight'], state['head.bias'] = torch.rand(400, 32), torch.arange(400.0)
    torch.save({'model_state': state, 'epoch': 9}, tmp_path / 'uniformer_small_k400_16x4.pth')
    return tmp_path / 'uniformer_small_k400_16x4.pth'


def test_kinetics_classes_are_renumbered(convert, kinetics, tmp_path):
    mm, official = tmp_path / 'mm.pth', tmp_path / 'official.pth'
    assert convert(kinetics, mm, '--head-dim', 16)[0] == 1  # the name says 64
    torch.save(torch.load(kinetics), tmp_path / 'a.pth')
    args = ('--head-dim', 16)
    code, said = convert(tmp_path / 'a.pth', mm, *args)
    assert code == 1 and '--class-order kinetics400' in said and not mm.exists()
    code, said = convert(tmp_path / 'a.pth', mm, *args, '--class-order', 'kinetics600')
    assert code == 1 and 'head of 400 classes' in said
    assert convert(tmp_path / 'a.pth', mm, *args, '--class-order', 'kinetics400')[0] == 0
    written = torch.load(mm)
    assert written['meta']['type'] == 'uniformer_mm.UniFormer3D'
    bias = written['state_dict']['cls_head.fc_cls.bias']
    assert torch.equal(bias[class_order('kinetics400')], torch.arange(400.0))

    back = ('--to', 'official')
    assert convert(mm, official, *back)[0] == 1
    assert convert(mm, official, *back, '--class-order', 'kinetics400')[0] == 0
    assert torch.equal(torch.load(official)['model']['head.bias'], torch.arange(400.0))
    code, said = convert(official, tmp_path / 'b.pth', *back, '--class-order', 'kinetics400')
    assert code == 1 and 'renumbers between official and mm files' in said
    assert convert(tmp_path / 'a.pth', tmp_path / 'c.pth', *args, '--class-order', 'keep')[0] == 0
    kept = torch.load(tmp_path / 'c.pth')['state_dict']['cls_head.fc_cls.bias']
    assert torch.equal(kept, torch.arange(400.0))


def test_converted_video_file_loads_strictly(convert, kinetics, tmp_path):
    models = pytest.importorskip('mmaction.models')
    torch.save(torch.load(kinetics), tmp_path / 'a.pth')
    convert(
        *(tmp_path / 'a.pth', tmp_path / 'mm.pth', '--head-dim', 16),
        *('--class-order', 'kinetics400'),
    )
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = models.Recognizer3D(
            backbone={'type': 'uniformer_mm.UniFormer3D', 'arch': ARCH},
            cls_head={'type': 'I3DHead', 'num_classes': 400, 'in_channels': 32},
        )
    model.load_state_dict(torch.load(tmp_path / 'mm.pth')['state_dict'], strict=True)


def test_refuses_to_overwrite(convert, official, tmp_path):
    target = tmp_path / 'a.pth'
    target.write_text('precious')
    code, said = convert(official, target, '--head-dim', 16)
    assert code == 1 and '--force' in said
    assert target.read_text() == 'precious'
    assert convert(official, target, '--head-dim', 16, '--force')[0] == 0
    assert torch.load(target)['meta']['head_dim'] == 16


@pytest.mark.parametrize(
    'args, message',
    [
        ((), '--head-dim'),
        (('--head-dim', 16, '--arch', 'small'), "is not 'small'"),
    ],
)
def test_what_the_file_does_not_tell(convert, official, tmp_path, args, message):
    code, said = convert(official, tmp_path / 'a.pth', *args)
    assert code == 1 and message in said
    assert not (tmp_path / 'a.pth').exists()


def test_incomplete_file(convert, official, tmp_path):
    state = torch.load(official)['model']
    del state['blocks4.0.mlp.fc2.bias']
    torch.save(state, tmp_path / 'half.pth')
    code, said = convert(tmp_path / 'half.pth', tmp_path / 'a.pth', '--head-dim', 16)
    assert code == 1 and 'blocks4.0.mlp.fc2.bias' in said
    assert not (tmp_path / 'a.pth').exists()


def test_command_line(run_tool, tmp_path):
    """One line and a non-zero exit, no traceback."""
    result = run_tool('tools/checkpoints/convert.py', tmp_path / 'no.pth', tmp_path / 'a.pth')
    assert result.returncode == 1
    assert result.stderr.strip() == f'error: There is no checkpoint {tmp_path / "no.pth"}.'
