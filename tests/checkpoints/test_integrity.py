"""What is damaged is refused: files that have changed, and values that nobody trained."""

import zipfile
from pathlib import Path

import pytest
import torch
from weight_layouts import ARCH, assert_same

from uniformer_mm import UniFormer
from uniformer_mm.checkpoints import (
    CheckpointError,
    check_file,
    load_backbone,
    load_file,
    load_model,
    parse_checkpoint,
    read_checkpoint,
    save_checkpoint,
    sha256_of,
)


def flip_a_bit(path: Path, tensor: torch.Tensor) -> None:
    """Change one bit of a tensor in a file, as a disk or a cable may."""
    data = bytearray(path.read_bytes())
    data[data.index(tensor.numpy().tobytes())] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_flipped_bit(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    weight = torch.rand(99)
    save_checkpoint({'state_dict': {'weight': weight}, 'meta': {}}, path)
    assert torch.equal(load_file(path)['state_dict']['weight'], weight)
    flip_a_bit(path, weight)
    if suffix == '.pth':  # PyTorch reads it all the same
        assert not torch.equal(torch.load(path)['state_dict']['weight'], weight)
    with pytest.raises(CheckpointError, match='has changed since it was written'):
        load_file(path)


def test_part_that_is_marked_as_a_folder(tmp_path):
    """One bit of an archive's directory, for which PyTorch gives whatever was in the memory."""
    torch.save({'weight': torch.rand(99)}, tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as old,
        zipfile.ZipFile(tmp_path / 'b.pth', 'w') as new,
    ):
        for part in old.infolist():
            part.external_attr |= 0x10 * part.filename.endswith('data/0')
            new.writestr(part, old.read(part.filename))
    with pytest.raises(CheckpointError, match='has changed since it was written, in a/data/0'):
        load_file(tmp_path / 'b.pth')


def test_files_without_checksums_load(tmp_path):
    if hasattr(torch.serialization, 'set_crc32_options'):
        torch.serialization.set_crc32_options(False)
    try:
        torch.save({'weight': torch.ones(9)}, tmp_path / 'a.pth')
    finally:
        if hasattr(torch.serialization, 'set_crc32_options'):
            torch.serialization.set_crc32_options(True)
    assert load_file(tmp_path / 'a.pth')['weight'].sum() == 9


def test_hash_in_the_name(thin, tmp_path, log):
    torch.save(thin, tmp_path / 'a.pth')
    digits = sha256_of(tmp_path / 'a.pth')[:8]
    right = (tmp_path / 'a.pth').rename(tmp_path / f'a-{digits}.pth')
    read_checkpoint(right)
    assert 'SHA-256' not in log.text
    wrong = right.rename(tmp_path / 'a-0123abcd.pth')
    read_checkpoint(wrong)  # MMEngine puts another hash there
    assert f'begins with {digits}, not with the 0123abcd in its name' in log.text
    released = wrong.rename(tmp_path / 'top_down_256x192_global_small-d4a7fdac_20230724.pth')
    with pytest.raises(CheckpointError, match=f'{digits}.* released file .* with d4a7fdac'):
        read_checkpoint(released)


NUMBERS = [float('nan'), float('inf'), -float('inf')]


@pytest.mark.parametrize('number', NUMBERS)
def test_numbers_that_are_not_finite(small_file, number):
    path, state = small_file()
    for i in (0, 1):
        state[f'blocks3.{i}.norm1.weight'][1] = number
    state['head.bias'][:3] = number  # dropped, as it is of no backbone
    torch.save(state, path)
    said = (
        r'2 entries with numbers that are not finite: blocks3\.\[0-1\]\.norm1\.weight \(1 of 32\)'
    )
    with pytest.raises(CheckpointError, match=said):
        load_backbone(UniFormer(ARCH), path, head_dim=16)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda value: value.long(), 'torch.int64, the model has torch.float32'),
        (lambda value: value > 0, 'torch.bool, the model has'),
        (lambda value: value.to_sparse(), 'of another type'),
        (lambda value: value.to('meta'), 'of another type'),
        (lambda value: value.double() * 1e300, 'head.bias .4 of 4.'),  # infinite in float32
        (lambda value: value.to(torch.bfloat16), None),
        (lambda value: value.half(), None),
    ],
)
def test_types_and_heads(change, message):
    model = torch.nn.Sequential()
    model.head, model.norm = torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)
    state = model.state_dict()
    state['head.bias'] = change(torch.arange(1.0, 5.0))
    if message is None:
        load_model(model, {'state_dict': dict(state)}, 'a.pth')
        assert model.head.bias.tolist() == [1, 2, 3, 4]
        return
    with pytest.raises(CheckpointError, match=message):
        load_model(model, {'state_dict': dict(state)}, 'a.pth')


def test_safetensors_there_and_back(thin, tmp_path):
    meta = {
        'head_dim': 32,
        'type': 'uniformer_mm.UniFormer',
        'dataset_meta': {'classes': ('a', 'b')},
    }
    state = {**thin, 'shared': thin['norm.weight'], 'turned': torch.rand(2, 3).T}
    path = save_checkpoint({'model': state, 'meta': meta}, tmp_path / 'a.safetensors')
    assert_same(load_file(path)['state_dict'], state)
    weights = read_checkpoint(path)
    assert (weights.head_dim, weights.layout) == (32, 'official')
    assert weights.meta['type'] == meta['type']
    assert weights.meta['dataset_meta'] == {'classes': ['a', 'b']}
    assert load_file(path, mmap=True)['meta'] == weights.meta
    save_file = pytest.importorskip('safetensors.torch').save_file
    save_file(thin, tmp_path / 'b.pth', {'head_dim': 'many'})  # of others, under another name
    with pytest.raises(CheckpointError, match='head_dim .* is no number'):
        read_checkpoint(tmp_path / 'b.pth').head_dim  # noqa: B018


def test_a_safetensors_file_may_begin_as_a_page(tmp_path):
    """Its first byte is part of a length."""
    save_file = pytest.importorskip('safetensors.torch').save_file
    for size in range(99):
        save_file({'a': torch.ones(1)}, tmp_path / 'a.safetensors', {'text': 'x' * size})
        check_file(tmp_path / 'a.safetensors')
    (tmp_path / 'a.safetensors').write_bytes((tmp_path / 'a.safetensors').read_bytes()[:-1])
    with pytest.raises(CheckpointError, match='cannot be read as a checkpoint'):
        read_checkpoint(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('head_dim', ['64', True, 0, [64]])
def test_odd_head_dim(thin, head_dim):
    weights = parse_checkpoint({'state_dict': thin, 'meta': {'head_dim': head_dim}}, 'a.pth')
    with pytest.raises(CheckpointError, match='is no number of channels'):
        load_backbone(UniFormer(ARCH), weights)
