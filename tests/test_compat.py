"""Importing registers and changes nothing of others; repairs are named where they are wanted."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, VISUALIZERS

from uniformer_mm import compat, registry

LIBRARIES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose', 'mmaction')


def start_python(*args: object, repo: Path) -> subprocess.Popen:
    """A fresh interpreter that finds this checkout."""
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(repo), 'OMP_NUM_THREADS': '1'},
    )


def result_of(process: subprocess.Popen) -> object:
    """What it printed last, as JSON."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


# -------------------------------------------------------------------------------------------------
# Nothing of others changes
# -------------------------------------------------------------------------------------------------

# Everything in the modules of others, and in their classes, before and after the import.
COMPARE = """
import json, sys
import torch, mmcv.ops, mmengine.hub, mmengine.runner
for name in {libraries}:
    __import__(name)
import mmdet.models, mmpose.apis, mmpretrain.models, mmseg.datasets

OTHERS = ('torch', 'numpy', 'PIL', 'cv2', 'mmcv', 'mmengine', *{libraries})

def state():
    found = {{}}
    for module_name, module in list(sys.modules.items()):
        if module_name.partition('.')[0] in OTHERS:
            for name, value in list(vars(module).items()):
                found[module_name, name] = value
                if isinstance(value, type) and value.__module__ == module_name:
                    for attribute, inner in list(vars(value).items()):
                        found[module_name, name, attribute] = inner
    return found

def said():
    import mmaction.models
    from mmaction.registry import MODELS as ACTION
    from mmengine.registry import MODELS
    # Imported late, its registry owns the name all the same.
    assert isinstance(MODELS.build(dict(type='UniFormer')), uniformer_mm.UniFormer)
    assert ACTION.get('UniFormer').__module__.startswith('mmaction.')
    assert ACTION.get('uniformer_mm.UniFormer') is uniformer_mm.UniFormer
    try:
        ACTION.build(dict(type='DRN'))
    except ImportError as error:
        return str(error)

SCHEMES = ('mmengine.runner.checkpoint', 'CheckpointLoader', '_schemes')
before, finders = state(), list(sys.meta_path)
readers = dict(before.pop(SCHEMES))
safe = torch.serialization.get_safe_globals()
import uniformer_mm
after = state()
changed = [key for key in before if after.get(key) is not before[key]]
print(json.dumps([
    len(before) > 20_000,
    [key for key in changed if '__' not in key[-1]],
    sys.meta_path == finders,
    torch.serialization.get_safe_globals() == safe,
    readers.items() <= after[SCHEMES].items(),  # a reader of our own prefix is added
    said(),
]))
"""


@pytest.mark.slow
def test_import_replaces_nothing(repo_root) -> None:
    """Also where the libraries come first. Who builds mmaction's missing DRN hears of it."""
    pytest.importorskip('mmaction')
    code = COMPARE.format(libraries=LIBRARIES)
    *same, said = result_of(start_python('-c', code, repo=repo_root))
    assert same == [True, [], True, True, True]
    assert 'not part of the mmaction2 1.2.0 wheel' in said


def test_import_is_light(repo_root) -> None:
    """Nothing is imported or hooked but what is used; that needs no library, no compiled ops."""
    code = f"""
import json, sys
import torch, mmengine
finders = list(sys.meta_path)
sys.modules.update(dict.fromkeys({(*LIBRARIES, 'mmcv')}))
before = {{*sys.modules}}
import uniformer_mm
new = {{name.partition('.')[0] for name in sys.modules.keys() - before}}
names = [kind.__module__ for kind in torch.serialization.get_safe_globals()]
maps = uniformer_mm.UniFormer('tiny')(torch.randn(1, 3, 32, 32))
print(json.dumps([[*new], [m.shape[1] for m in maps], sys.meta_path == finders,
                  [name for name in names if name.partition('.')[0] != 'torch']]))
"""
    expected = [['uniformer_mm'], [32, 64, 160, 256], True, []]
    assert result_of(start_python('-c', code, repo=repo_root)) == expected


@pytest.fixture(scope='module')
def stock_losses(repo_root, run_tool) -> list[dict]:
    """Losses of the libraries' own configs, in processes with and without the import."""
    script = repo_root / 'tests/helpers/stock_losses.py'
    without = start_python(script, 'without', repo=repo_root)
    ours = run_tool(script, 'with')
    assert ours.returncode == 0, ours.stderr
    return [json.loads(ours.stdout.splitlines()[-1]), result_of(without)]


@pytest.mark.slow
@pytest.mark.parametrize('model', ['mask_rcnn', 'semantic_fpn', 'topdown_resnet', 'swin_3d'])
def test_stock_configs_train_as_without_the_import(model, stock_losses) -> None:
    ours, theirs = (losses[model] for losses in stock_losses)
    assert ours == theirs
    assert ours[0]['loss'] != ours[1]['loss'], 'a step changes the weights'


# -------------------------------------------------------------------------------------------------
# Types that extend a library
# -------------------------------------------------------------------------------------------------

LAZY = [
    (registry.MODELS, 'Float32RoIExtractor', 'mmdet'),
    (registry.VISUALIZERS, 'PoseLocalVisualizer', 'mmpose'),
    (registry.DATASETS, 'RepeatAugVideoDataset', 'mmaction'),
]


@pytest.mark.parametrize('scope', [None, 'mmengine', 'mmpretrain', 'mmdet'])
@pytest.mark.parametrize(('own', 'name', 'library'), LAZY)
def test_lazy_types_are_found_from_every_scope(own, name, library, scope) -> None:
    pytest.importorskip(library)
    with own.parent.switch_scope_and_registry(scope) as found:
        kind = found.get(f'uniformer_mm.{name}')
    assert kind.__name__ == name
    assert kind.__module__.startswith('uniformer_mm.')
    assert own.get(name) is kind


@pytest.mark.parametrize(('own', 'name', 'library'), LAZY)
def test_a_missing_library_is_named(own, name, library, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, f'uniformer_mm.{own.modules[name]}', raising=False)
    for module in [m for m in sys.modules if m.partition('.')[0] == library]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f'uniformer_mm.{name} needs {library}, which is not'):
        own.parent.get(f'uniformer_mm.{name}')


# -------------------------------------------------------------------------------------------------
# Repairs
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_regions_of_any_type_and_memory_order(dtype, order) -> None:
    """As torchvision cuts them; bfloat16 in float32, with regions that are not rounded."""
    torchvision = pytest.importorskip('torchvision')
    pytest.importorskip('mmdet')
    extractor = MODELS.build(
        dict(
            type='uniformer_mm.Float32RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
            out_channels=4,
            featmap_strides=[4, 8],
        )
    )
    rois = torch.tensor([[0, 501.3, 10.2, 611.7, 90.4], [1, 300.1, 3.3, 731.9, 127.8]])
    maps = [
        torch.rand(2, 4, 32 // i, 256 // i).to(dtype, memory_format=order).requires_grad_()
        for i in (1, 2)
    ]
    found = extractor(maps, rois)
    kind = torch.float64 if dtype is torch.float64 else torch.float32
    assert found.dtype is kind
    for i in (0, 1):  # a region on each map
        (expected,) = torchvision.ops.roi_align(
            maps[i].to(kind), rois[i : i + 1].to(kind), 7, 1 / extractor.featmap_strides[i], 2, True
        )
        torch.testing.assert_close(found[i], expected)
    found.sum().backward()
    assert all(x.grad.dtype is dtype and x.grad.any() for x in maps)


@pytest.mark.parametrize('backend', ['opencv', 'matplotlib'])
def test_keypoints_are_drawn(backend) -> None:
    structures = pytest.importorskip('mmpose.structures')
    from mmengine.structures import InstanceData

    visualizer = VISUALIZERS.build(
        dict(type='uniformer_mm.PoseLocalVisualizer', name=backend, radius=5, backend=backend)
    )
    visualizer.set_dataset_meta(dict(keypoint_colors=[(255, 0, 0)], num_keypoints=1))
    person = InstanceData(keypoints=np.array([[[20.0, 30]]]), keypoint_scores=np.ones((1, 1)))
    picture = visualizer.add_datasample(
        '', np.zeros((48, 64, 3), np.uint8), structures.PoseDataSample(pred_instances=person)
    )
    assert picture.shape == (48, 2 * 64, 3), 'the truth beside the prediction'
    assert picture[30, 64 + 20].tolist() == [255, 0, 0]
    assert not picture[:, 64 + 40 :].any()


@pytest.fixture
def mmaction_folder(monkeypatch, tmp_path):
    """A function that makes an mmaction of certain folders and mends it."""
    name = 'mmaction.models.localizers.drn.drn'
    monkeypatch.syspath_prepend(tmp_path)
    for module in [m for m in sys.modules if m.partition('.')[0] == 'mmaction']:
        monkeypatch.delitem(sys.modules, module)

    def make(*folders: str) -> bool:
        for folder in folders:
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / '__init__.py').touch()
        importlib.invalidate_caches()
        compat.provide_mmaction_drn()
        assert 'mmaction' not in sys.modules
        return name in sys.modules

    yield make
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ('folders', 'mended'),
    [
        (['mmaction', 'mmaction/models/localizers'], True),
        (['mmaction', 'mmaction/models/localizers/drn'], False),
        (['mmaction'], False),
    ],
    ids=['the wheel', 'complete', 'another layout'],
)
def test_only_a_missing_drn_is_provided(folders, mended, mmaction_folder) -> None:
    assert mmaction_folder(*folders) is mended
