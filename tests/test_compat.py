"""Each repair: the fault is there without it, gone with it, and nothing else is let through."""

import argparse
import builtins
import importlib.machinery
import importlib.metadata
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import mmengine.utils
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from PIL import Image

from uniformer_mm import compat
from uniformer_mm.cli import UserError

needs_torch_26 = pytest.mark.skipif(
    not compat._torch_reads_weights_only(), reason='torch.load reads everything before torch 2.6'
)


def run_python(code: str, repo_root: Path) -> str:
    """Standard output of a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repo_root)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def training_checkpoint() -> dict:
    """What MMEngine's Runner and the official scripts put beside the weights."""
    return {
        'state_dict': {'weight': torch.arange(3.0)},
        'message_hub': {'log_scalars': {'train/loss': HistoryBuffer([1.0, 0.5], [1, 1])}},
        'meta': {
            'sigmas': np.ones(2, np.float32),
            'best': np.float64(0.5),
            'dataset_meta': ConfigDict(classes=['a'], nested={'b': 1}),
        },
        'args': argparse.Namespace(lr=1e-3, model='uniformer_small'),
    }


@pytest.fixture(params=['torch', 'older torch'])
def load(request, monkeypatch):
    """Both ways to read weights only: torch's own, and ours for torch < 2.6."""
    if request.param == 'older torch':
        monkeypatch.setattr(compat, '_torch_reads_weights_only', lambda: False)
    return compat.load_weights_only


def test_training_checkpoint_loads(load, tmp_path):
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth')
    assert torch.equal(loaded['state_dict']['weight'], torch.arange(3.0))
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 0.75
    assert loaded['args'].lr == 1e-3
    assert loaded['meta']['best'] == 0.5
    assert loaded['meta']['dataset_meta'].nested.b == 1
    assert loaded['meta']['sigmas'].dtype == np.float32


def test_file_of_the_other_numpy_loads(load, tmp_path):
    """NumPy 2 renamed the functions that its pickles name; released files are from NumPy 1."""
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as source,
        zipfile.ZipFile(tmp_path / 'b.pth', 'w') as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name.endswith('data.pkl'):
                assert b'multiarray' in data
                swapped = data.replace(b'numpy._core.', b'numpy.core.')
                if swapped == data:
                    swapped = data.replace(b'numpy.core.', b'numpy._core.')
                data = swapped
            target.writestr(name, data)
    assert load(tmp_path / 'b.pth')['meta']['best'] == 0.5


class Bomb:
    """Unpickles into a call."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'function, args',
    [
        (os.system, ('touch {marker}',)),
        (builtins.exec, ("open('{marker}', 'w')",)),
        (builtins.eval, ("open('{marker}', 'w')",)),
        (getattr, (HistoryBuffer, '__init__')),
        (getattr, (argparse.Namespace, '__eq__')),
        (np.empty(0).__reduce__()[0], (np.matrix, (0,), b'b')),
        (np.load, ('{marker}',)),
        (Path, ('{marker}',)),
    ],
    ids=['system', 'exec', 'eval', 'getattr', 'getattr2', 'subclass', 'np.load', 'class'],
)
@pytest.mark.parametrize('zipped', [True, False])
def test_pickle_that_calls_code_is_refused(load, tmp_path, function, args, zipped):
    marker = tmp_path / 'marker'
    args = [a.format(marker=marker) if isinstance(a, str) else a for a in args]
    checkpoint = {**training_checkpoint(), 'extra': Bomb(function, *args)}
    torch.save(checkpoint, tmp_path / 'bomb.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        load(tmp_path / 'bomb.pth')
    assert not marker.exists()


@needs_torch_26
def test_fault_is_there_without_the_repair(tmp_path):
    torch.save(training_checkpoint(), tmp_path / 'a.pth')
    known = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with pytest.raises(pickle.UnpicklingError, match='HistoryBuffer|multiarray'):
            torch.load(tmp_path / 'a.pth')
        compat.apply()
        torch.load(tmp_path / 'a.pth')
    finally:
        torch.serialization.add_safe_globals(known)


def test_apply_twice_changes_nothing():
    finders = sys.meta_path.copy()
    compat.apply()
    assert sys.meta_path == finders


@needs_torch_26
def test_safe_classes_register_once():
    known = set(torch.serialization.get_safe_globals())
    compat.apply()
    assert set(torch.serialization.get_safe_globals()) == known


class TestMmactionDrn:
    @pytest.mark.slow
    def test_models_import(self, repo_root):
        pytest.importorskip('mmaction')
        code = """
import uniformer_mm, mmaction.models
from mmaction.registry import MODELS
assert 'UniFormer' in MODELS.module_dict
try:
    MODELS.build(dict(type='DRN'))
except ImportError as error:
    print(error)
"""
        assert 'not part of the mmaction2 1.2.0 wheel' in run_python(code, repo_root)

    def test_import_stays_lazy(self, repo_root):
        code = """
import sys, uniformer_mm
print([m for m in ('mmaction', 'mmdet', 'mmseg', 'mmpose') if m in sys.modules])
"""
        assert run_python(code, repo_root).strip() == '[]'

    @pytest.mark.parametrize('version, added', [('1.2.0', 1), ('1.2.1', 0), (None, 0)])
    def test_only_the_faulty_release(self, monkeypatch, version, added):
        def find_version(name):
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        others = [f for f in sys.meta_path if not isinstance(f, compat._DRNFinder)]
        monkeypatch.setattr(sys, 'meta_path', others.copy())
        monkeypatch.setattr(importlib.metadata, 'version', find_version)
        compat.provide_mmaction_drn()
        # Last, so that a real folder would be found first.
        assert sys.meta_path[: len(others)] == others
        assert len(sys.meta_path) == len(others) + added

    def test_answers_for_nothing_else(self):
        finder = compat._DRNFinder()
        assert finder.find_spec('mmaction.models.localizers.bmn') is None
        assert finder.find_spec('mmaction.models.localizers.drn').submodule_search_locations == []


class TestPkgResources:
    def test_config_bases_without_it(self, repo_root):
        pytest.importorskip('mmpretrain')
        code = """
import sys
sys.modules['pkg_resources'] = None
import uniformer_mm
from mmengine.config import Config, ConfigDict
from mmengine.utils import get_installed_path, is_installed
cfg = Config.fromstring("_base_ = ['mmpretrain::_base_/default_runtime.py']", '.py')
assert cfg.default_scope == 'mmpretrain'
assert is_installed('mmpretrain') and not is_installed('no_such_package')
assert get_installed_path('mmsegmentation').endswith('mmseg') if is_installed('mmseg') else True
try:
    get_installed_path('no_such_package')
except ModuleNotFoundError:
    print('refused')
"""
        assert run_python(code, repo_root).strip() == 'refused'

    def test_switched_off_by_a_fixed_release(self, monkeypatch):
        monkeypatch.setattr(mmengine, '__version__', '0.11.0')
        monkeypatch.setattr(mmengine.utils, 'is_installed', 'theirs')
        compat.replace_pkg_resources()
        assert mmengine.utils.is_installed == 'theirs'

    def test_agrees_with_mmengine(self):
        pytest.importorskip('pkg_resources')
        packages = ['mmengine', 'torch', 'mmcv', 'numpy']
        code = f"""
from mmengine.utils import get_installed_path, is_installed
print([get_installed_path(p) for p in {packages} if is_installed(p)])
print(is_installed('no_such_package'))
"""
        theirs = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        ours = [compat._get_installed_path(p) for p in packages if compat._is_installed(p)]
        assert theirs.stdout == f'{ours}\nFalse\n'
        assert not compat._is_installed('no_such_package')

    def test_no_deprecation_warning(self):
        pytest.importorskip('mmpretrain')
        code = """
import uniformer_mm
from mmengine.config import Config
Config.fromstring("_base_ = ['mmpretrain::_base_/default_runtime.py']", '.py')
"""
        run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, '')


def test_mmpretrain_bases_load():
    pytest.importorskip('mmpretrain')
    cfg = Config.fromstring("_base_ = ['mmpretrain::_base_/default_runtime.py']", '.py')
    assert cfg.default_scope == 'mmpretrain'


@pytest.mark.parametrize('first', ['import mmcv.ops', 'import uniformer_mm'])
def test_roi_align_reads_channels_last_maps(first, repo_root) -> None:
    code = f"""
{first}
import uniformer_mm, torch, torchvision
from mmcv.ops import RoIAlign
torch.manual_seed(0)
maps = torch.rand(2, 5, 8, 10)
maps = [maps.detach().clone(memory_format=order).requires_grad_() for order in
        (torch.contiguous_format, torch.channels_last)]
rois = torch.tensor([[0, 1.0, 2, 30, 25], [1, 3, 3, 18, 12]])
for x in maps:
    out = RoIAlign(4, 0.25, sampling_ratio=2)(x, rois)
    expected = torchvision.ops.roi_align(x, rois, 4, 0.25, 2, aligned=True)
    torch.testing.assert_close(out, expected)
    (out ** 2).sum().backward()
torch.testing.assert_close(maps[0].grad, maps[1].grad)
print('mended')
"""
    assert run_python(code, repo_root).strip() == 'mended'


def test_regions_in_bfloat16(monkeypatch):
    """Pooled in float32, with regions that are not rounded."""
    extractors = pytest.importorskip('mmdet.models')
    monkeypatch.setattr(
        extractors.SingleRoIExtractor, 'forward', extractors.SingleRoIExtractor.forward
    )
    extractor = extractors.SingleRoIExtractor(
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        out_channels=4,
        featmap_strides=[4, 8],
    )
    rois = torch.tensor([[0, 501.3, 10.2, 611.7, 90.4], [0, 700.1, 3.3, 731.9, 30.8]])
    feats = [torch.rand(1, 4, 32 // i, 256 // i).bfloat16() for i in (1, 2)]
    expected = extractor([feature.float() for feature in feats], rois)
    for _ in range(2):
        compat.extract_regions_in_float32()
        assert torch.equal(extractor(feats, rois), expected)
    doubles = [feature.double() for feature in feats]  # other types are left alone
    assert extractor(doubles, rois).dtype == torch.float64


@pytest.mark.parametrize('shape', [(1, 30), (30, 1), (1, 2)])
def test_thin_label_maps_keep_their_shape(shape, tmp_path) -> None:
    loading = pytest.importorskip('mmseg.datasets.transforms.loading')
    file = tmp_path / 'label.png'
    Image.fromarray(np.resize([0, 1, 255], shape).astype(np.uint8)).save(file)
    results = dict(seg_map_path=file, reduce_zero_label=True, seg_fields=[], ori_shape=shape)
    found = loading.LoadAnnotations()(results)['gt_seg_map']
    assert found.shape == shape
    assert found.ravel()[:2].tolist() == [255, 0]


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_numbers_above_8_bits_are_refused(backend, tmp_path) -> None:
    loading = pytest.importorskip('mmseg.datasets.transforms.loading')
    load = loading.LoadAnnotations(imdecode_backend=backend)
    file = tmp_path / 'label.png'

    def read(numbers: list[int]) -> list[int]:
        Image.fromarray(np.array([numbers], np.uint16)).save(file)
        results = dict(seg_map_path=file, reduce_zero_label=False, seg_fields=[], ori_shape=(1, 3))
        return load(results)['gt_seg_map'].ravel().tolist()

    assert read([0, 7, 255]) == [0, 7, 255]
    with pytest.raises(UserError, match=r'label.png holds numbers from 0 to 257: expected 0 to'):
        read([0, 7, 257])


def test_a_strip_keeps_a_pixel_when_it_is_rescaled() -> None:
    mmcv = pytest.importorskip('mmcv')
    assert mmcv.imrescale(np.zeros((1, 900), np.uint8), (256, 64)).shape == (1, 256)
    assert mmcv.imrescale(np.zeros((900, 1), np.uint8), 0.25).shape == (225, 1)
    assert mmcv.imrescale(np.zeros((30, 60), np.uint8), 0.25).shape == (8, 15)


def test_applying_again_mends_nothing_twice() -> None:
    from mmcv.image import geometric
    from mmseg.datasets.transforms import loading

    def mended() -> tuple:
        load = loading.LoadAnnotations
        return geometric._scale_size, load._load_seg_map, load.transform

    before = mended()
    compat.apply()
    assert mended() == before
