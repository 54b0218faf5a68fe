"""Files of detectors, pose estimators and video networks in the libraries' models."""

import re
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from paper_configs import build, read_config
from seeded_weights import seeded_state_dict
from torch import Tensor, nn

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import CLASS_ORDERS, CheckpointError, class_order, read_checkpoint
from uniformer_mm.engine import CheckpointGuardHook


def load(model: nn.Module, checkpoint: dict, source: str = 'some/file.pth', **guard) -> dict:
    """What a Runner does with ``load_from`` after it has read the file; gives what was loaded."""
    runner = SimpleNamespace(model=model, _load_from=source, _resume=False, work_dir='.')
    CheckpointGuardHook(**guard).after_load_checkpoint(runner, checkpoint)
    return checkpoint['state_dict']


def assert_loaded(model: nn.Module, state: dict[str, Tensor], but: set[str] = frozenset()) -> None:
    own = model.state_dict()
    differing = {k for k, v in own.items() if k not in state or not v.equal(state[k].to(v.dtype))}
    assert differing == but


# --- detectors ---

MASK = 'mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco'
CASCADE = 'cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco'
TINY = dict(depths=(1, 1, 4, 1), with_cp=False)


# What mmdet 2.11 and mmpose call the parts beside the backbone, and how many entries these are.
NORM = '(weight|bias|running_mean|running_var|num_batches_tracked)'
RPN = r'neck\.(lateral|fpn)_convs\.[0-3]\.conv|rpn_head\.rpn_(conv|cls|reg)'
MASK_PARTS = r'(convs\.[0-3]\.conv|upsample|conv_logits)'
BOX = r'roi_head\.bbox_head\.[012]'
OFFICIAL = {
    MASK: (
        42,
        rf'({RPN}|roi_head\.mask_head\.{MASK_PARTS}|roi_head\.bbox_head\.'
        r'(shared_fcs\.[01]|fc_cls|fc_reg))\.(weight|bias)',
    ),
    CASCADE: (
        148,
        rf'({RPN}|roi_head\.mask_head\.[012]\.{MASK_PARTS}|'
        rf'{BOX}\.(shared_fcs\.0|fc_cls|fc_reg))\.(weight|bias)|'
        rf'{BOX}\.shared_convs\.[0-3]\.(conv\.weight|bn\.{NORM})',
    ),
}
POSE_HEAD = rf'deconv_layers\.([036]\.weight|[147]\.{NORM})|final_layer\.(weight|bias)'


def assert_names(keys: Iterable[str], pattern: str, count: int) -> None:
    """All these many names follow the pattern, which are all that do."""
    assert len(set(keys)) == count
    assert [key for key in keys if not re.fullmatch(pattern, key)] == []


def both(*modules: str) -> set[str]:
    return {f'{module}.{leaf}' for module in modules for leaf in ('weight', 'bias')}


def detector(repo_root: Path, name: str, **backbone) -> nn.Module:
    pytest.importorskip('mmdet')
    cfg = read_config(repo_root / f'configs/coco_det/{name}.py')
    cfg.model.backbone.update(init_cfg=None, **backbone)
    return build(cfg.model, 'mmdet')


def official_detector(state: dict[str, Tensor]) -> dict:
    """A training checkpoint as mmdet 2.x writes it."""
    meta = dict(mmdet_version='2.11.0', config='model = dict()', CLASSES=('person',), epoch=12)
    return dict(meta=meta, state_dict=dict(state), optimizer=dict(state={}, param_groups=[]))


@pytest.mark.parametrize('name', OFFICIAL)
def test_names_of_a_detector_are_the_official_ones(repo_root, golden_dense, name) -> None:
    with torch.device('meta'):
        own = detector(repo_root, name).state_dict()
    for key, shape in golden_dense['maps']['uniformer_small_dense'].items():
        assert list(own.pop(f'backbone.{key}').shape) == shape
    count, pattern = OFFICIAL[name]
    assert_names(own, pattern, count)


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_detector_loads(repo_root, name) -> None:
    """Into a model of any style, as all have the same weights."""
    state = {k: v + 1 for k, v in detector(repo_root, name, **TINY).state_dict().items()}
    for style in ('hybrid', 'window', 'global'):
        model = detector(repo_root, name, **TINY, stage3_style=style)
        load(model, official_detector(state))
        assert_loaded(model, state)


# --- pose estimators: the authors' files (mmpose 0.x) and mmpose's converted ones ---


def estimator(repo_root: Path, **backbone) -> nn.Module:
    pytest.importorskip('mmpose')
    name = 'td-hm_uniformer-s-8xb128-210e_coco-256x192'
    cfg = read_config(repo_root / f'configs/coco_pose/{name}.py')
    cfg.model.backbone.update(init_cfg=None, **backbone)
    return build(cfg.model, 'mmpose')


@pytest.fixture(scope='module')
def released(repo_root) -> dict[str, Tensor]:
    """Weights of the authors' network, which has norms for all four stages, under names of 1.x."""
    state = estimator(repo_root, out_indices=(0, 1, 2, 3)).state_dict()
    return seeded_state_dict({key: value.shape for key, value in state.items()}, torch.float32)


def pose_file_of_the_authors(state: dict[str, Tensor]) -> dict:
    old = {key.replace('head.', 'keypoint_head.'): value for key, value in state.items()}
    meta = dict(mmpose_version='0.16.0', config='model = dict()', epoch=210)
    return dict(meta=meta, state_dict=old, optimizer=dict(state={}, param_groups=[]))


@pytest.fixture(params=['authors', 'mmpose'])
def pose_file(request, released) -> dict:
    """What its publisher made of the weights."""
    if request.param == 'authors':
        return pose_file_of_the_authors(released)
    return dict(meta=dict(dataset_meta=dict(num_keypoints=17)), state_dict=dict(released))


def test_released_pose_weights_load(pose_file, released, repo_root, log) -> None:
    model = estimator(repo_root)
    assert_names([k[5:] for k in model.state_dict() if k.startswith('head.')], POSE_HEAD, 20)
    load(model, pose_file)
    assert_loaded(model, released)
    assert 'backbone.norm1.bias, backbone.norm1.weight, backbone.norm2.bias' in log.text
    assert 'backbone.norm4' not in log.text


def test_pose_weights_that_do_not_fit(pose_file, repo_root) -> None:
    """Norms of unused stages may be left over, and nothing else; none may be missing."""
    state = pose_file['state_dict']
    broken = {k: v for k, v in state.items() if not k.endswith('head.final_layer.bias')}
    broken['backbone.norm5.weight'] = torch.zeros(3)
    with pytest.raises(CheckpointError) as error:
        load(estimator(repo_root), dict(state_dict=broken))
    assert 'head.final_layer.bias (17,)' in str(error.value)
    assert 'backbone.norm5.weight (3,)' in str(error.value)
    assert 'backbone.norm1' not in str(error.value)
    del state['backbone.norm2.weight']
    with pytest.raises(CheckpointError, match=r'Missing from the file \(1\)'):
        load(estimator(repo_root, out_indices=(0, 1, 2, 3)), pose_file)


def test_convert_pose_weights(pose_file, released, run_main, tmp_path) -> None:
    source, target = tmp_path / 'top_down_256x192_global_small.pth', tmp_path / 'out.pth'
    args = ('tools/checkpoints/convert.py', source, target, '--task', 'dense')
    torch.save(pose_file, source)
    assert read_checkpoint(source).head_dim == 64
    assert run_main(*args) == 0
    written = torch.load(target)
    assert written['meta']['arch'] == 'small'
    assert written['state_dict'].keys() == released.keys()
    assert all(value.equal(released[key]) for key, value in written['state_dict'].items())
    backbone = {key: value for key, value in released.items() if key.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), source)
    target.unlink()
    assert 'has no neck and heads of a dense model' in run_main(*args)
    assert not target.exists()


# --- recognizers ---

ARCH = dict(depths=(1, 1, 1, 1), embed_dims=(16, 16, 64, 64), head_dim=64)


def recognizer(num_classes: int = 400) -> nn.Module:
    pytest.importorskip('mmaction')
    head = dict(type='I3DHead', num_classes=num_classes, in_channels=64)
    backbone = dict(type='uniformer_mm.UniFormer3D', arch=ARCH)
    return build(dict(type='Recognizer3D', backbone=backbone, cls_head=head), 'mmaction')


def official_recognizer(num_classes: int = 400) -> dict:
    """A slowfast training file; bias i of its head is i."""
    state = UniFormer3D(ARCH).state_dict()
    state['head.weight'] = torch.rand(num_classes, 64)
    state['head.bias'] = torch.arange(float(num_classes))
    return dict(model_state=state, optimizer_state={}, epoch=1, cfg='MODEL: {}')


SAID = "brought from the authors' order into MMAction2's of {}"
V1, V2 = (f'exp/uniformer_b32_sth{version}_prek600.pyth' for version in ('v1', 'v2'))


@pytest.mark.parametrize(
    ('num_classes', 'source', 'order', 'said'),
    [
        (400, 'a.pyth', 'kinetics400', SAID.format('kinetics400')),
        (400, 'a.pyth', None, "class_order='kinetics400'"),
        (174, 'a.pyth', 'sthv1', SAID.format('sthv1')),
        (174, V1, None, "class_order='sthv1'"),
        (174, 'a.pyth', None, "class_order='sthv1'"),  # of V1 or V2: nothing tells
        (174, V2, None, None),
        (101, 'a.pyth', 'kinetics400', None),  # no such data set: the order stays
    ],
)
def test_classes_of_an_official_file(num_classes, source, order, said, log) -> None:
    model = recognizer(num_classes)
    state = load(model, official_recognizer(num_classes), source, class_order=order)
    assert state.keys() == model.state_dict().keys()
    bias = model.cls_head.fc_cls.bias
    if said is not None and order is not None:
        bias = bias[class_order(order)]
    assert torch.equal(bias, torch.arange(float(num_classes)))
    assert said in log.text if said else 'order' not in log.text


@pytest.mark.parametrize('order', CLASS_ORDERS)
def test_converted_classes_are_right_already(order, log) -> None:
    """So are those of our own runs."""
    model, other = (recognizer(CLASS_ORDERS[order]) for _ in range(2))
    state = other.state_dict()
    load(model, dict(state_dict=dict(state)), class_order=order)
    assert_loaded(model, state)
    assert 'order' not in log.text


def test_image_files_and_unknown_orders() -> None:
    state = UniFormer(ARCH, out_indices=(3,), final_norm=True).state_dict()
    with pytest.raises(CheckpointError, match=r'use model\.backbone\.init_cfg'):
        load(recognizer(), dict(model=state), 'image.pth')
    with pytest.raises(ValueError, match="kinetics600, sthv1; got 'kinetics700'"):
        CheckpointGuardHook(class_order='kinetics700')


# --- fine-tuning on other classes ---


def other_detector(repo_root: Path) -> tuple:
    """All but the last layers of the box head stays."""
    model = detector(repo_root, MASK, **TINY)
    state = {key: value + 1 for key, value in model.state_dict().items()}
    new = both('roi_head.bbox_head.fc_cls', 'roi_head.bbox_head.fc_reg')
    return model, official_detector(state | {key: state[key][:8] for key in new}), state, new


def other_estimator(repo_root: Path) -> tuple:
    """The trained deconvolutions are kept."""
    model = estimator(repo_root)
    state = {key: value + 1 for key, value in model.state_dict().items()}
    model.head.final_layer = nn.Conv2d(256, 5, 1)
    return model, pose_file_of_the_authors(state), state, both('head.final_layer')


def other_recognizer(repo_root: Path) -> tuple:
    file = official_recognizer()
    state = {f'backbone.{key}': value for key, value in file['model_state'].items()}
    return recognizer(174), file, state, both('cls_head.fc_cls')


@pytest.mark.parametrize('make', [other_detector, other_estimator, other_recognizer])
def test_other_classes(make, repo_root) -> None:
    """Only what depends on the number of classes starts anew, and only where that is allowed."""
    model, file, state, new = make(repo_root)
    before = {key: model.state_dict()[key].clone() for key in new}
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        load(model, dict(file))
    load(model, dict(file), allow_new_head=True)
    assert_loaded(model, state, but=new)
    assert all(model.state_dict()[key].equal(value) for key, value in before.items())
