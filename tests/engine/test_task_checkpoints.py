"""Files of detectors, pose estimators and video networks in the libraries' models."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from paper_configs import build, read_config
from seeded_weights import seeded_state_dict
from torch import Tensor, nn

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import CheckpointError, class_order, read_checkpoint
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


def names(modules: list[str], leaves: str = 'weight bias') -> set[str]:
    return {f'{module}.{leaf}' for module in modules for leaf in leaves.split()}


def mask_head(prefix: str) -> set[str]:
    parts = [*(f'convs.{i}.conv' for i in range(4)), 'upsample', 'conv_logits']
    return names([f'{prefix}.{part}' for part in parts])


def cascade_stage(stage: int) -> set[str]:
    box = f'roi_head.bbox_head.{stage}'
    convs = [f'{box}.shared_convs.{i}' for i in range(4)]
    norms = 'weight bias running_mean running_var num_batches_tracked'
    return (
        names([f'{box}.{fc}' for fc in ('shared_fcs.0', 'fc_cls', 'fc_reg')])
        | names([f'{conv}.conv' for conv in convs], 'weight')
        | names([f'{conv}.bn' for conv in convs], norms)
        | mask_head(f'roi_head.mask_head.{stage}')
    )


NECK_AND_RPN = names(
    [f'neck.{kind}_convs.{i}.conv' for kind in ('lateral', 'fpn') for i in range(4)]
    + [f'rpn_head.rpn_{part}' for part in ('conv', 'cls', 'reg')]
)
BOX_HEAD = [
    f'roi_head.bbox_head.{fc}' for fc in ('shared_fcs.0', 'shared_fcs.1', 'fc_cls', 'fc_reg')
]
# What mmdet 2.11 calls the parts beside the backbone.
OFFICIAL = {
    MASK: NECK_AND_RPN | names(BOX_HEAD) | mask_head('roi_head.mask_head'),
    CASCADE: NECK_AND_RPN.union(*(cascade_stage(stage) for stage in range(3))),
}


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
    backbone = golden_dense['maps']['uniformer_small_dense']
    assert own.keys() == {f'backbone.{key}' for key in backbone} | OFFICIAL[name]
    assert all(list(own[f'backbone.{key}'].shape) == shape for key, shape in backbone.items())


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_detector_loads(repo_root, name) -> None:
    """Into a model of any style, as all have the same weights."""
    state = {k: v + 1 for k, v in detector(repo_root, name, **TINY).state_dict().items()}
    for style in ('hybrid', 'window', 'global'):
        model = detector(repo_root, name, **TINY, stage3_style=style)
        load(model, official_detector(state))
        assert_loaded(model, state)


def test_detector_for_other_classes(repo_root) -> None:
    """Fine-tuning on own data: only what depends on the number of classes starts anew."""
    model = detector(repo_root, MASK, **TINY)
    state = {key: value + 1 for key, value in model.state_dict().items()}
    new = names(BOX_HEAD[2:])
    state |= {key: state[key][:8] for key in new}
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        load(model, official_detector(state))
    model.load_state_dict(load(model, official_detector(state), allow_new_head=True), strict=False)
    assert_loaded(model, state, but=new)


def test_imagenet_weights_report_the_norms_that_stay(
    repo_root, golden_imagenet, tmp_path, log
) -> None:
    """The authors' classifier in the backbone of a leaf, as ``init_cfg`` names it."""
    keys = golden_imagenet['models']['uniformer_small']['keys']
    state = seeded_state_dict(keys, torch.float32)
    path = tmp_path / 'uniformer_small_in1k.pth'
    torch.save(dict(model=state), path)
    model = detector(repo_root, MASK)
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    model.init_weights()
    norms = names([f'norm{i}' for i in range(1, 5)])
    assert_loaded(model.backbone, state, but=norms)
    assert all(model.backbone.state_dict()[key].eq(key.endswith('weight')).all() for key in norms)
    (report,) = [r.getMessage() for r in log.records if 'backbone entries' in r.getMessage()]
    listed = ', '.join(f'norm{i}.{{weight,bias}}' for i in range(1, 5))
    assert f'Loaded {len(model.backbone.state_dict()) - 8} backbone entries from {path}.' in report
    assert report.endswith(f'At their initial values (8): {listed}.')
    assert 'Not used (7): norm.{' in report and 'head.{weight,bias}.' in report


# --- pose estimators: the authors' files (mmpose 0.x) and mmpose's converted ones ---

NORMS = 'weight bias running_mean running_var num_batches_tracked'
# What mmpose calls the parts of its head of three deconvolutions.
POSE_HEAD = (
    names([f'deconv_layers.{i}' for i in (0, 3, 6)], 'weight')
    | names([f'deconv_layers.{i}' for i in (1, 4, 7)], NORMS)
    | names(['final_layer'])
)
FILES = {
    'authors': 'top_down_256x192_global_small.pth',
    'mmpose': 'top_down_256x192_global_small-d4a7fdac_20230724.pth',
}


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


@pytest.fixture(params=FILES)
def pose_file(request, released) -> tuple[str, dict]:
    """The name of a released file, and what its publisher made of the weights."""
    if request.param == 'mmpose':
        meta = dict(dataset_meta=dict(num_keypoints=17))
        return FILES['mmpose'], dict(meta=meta, state_dict=dict(released))
    old = {key.replace('head.', 'keypoint_head.'): value for key, value in released.items()}
    meta = dict(mmpose_version='0.16.0', config='model = dict()', epoch=210)
    optimizer = dict(state={}, param_groups=[])
    return FILES['authors'], dict(meta=meta, state_dict=old, optimizer=optimizer)


def test_released_pose_weights_load(pose_file, released, repo_root, log) -> None:
    model = estimator(repo_root)
    assert {k.partition('.')[2] for k in model.state_dict() if k.startswith('head.')} == POSE_HEAD
    load(model, pose_file[1])
    assert_loaded(model, released)
    assert 'backbone.norm1.bias, backbone.norm1.weight, backbone.norm2.bias' in log.text
    assert 'backbone.norm4' not in log.text


def test_pose_weights_that_do_not_fit(pose_file, repo_root) -> None:
    """Norms of unused stages may be left over, and nothing else; none may be missing."""
    state = pose_file[1]['state_dict']
    bias = next(key for key in state if key.endswith('head.final_layer.bias'))
    broken = {key: value for key, value in state.items() if key != bias}
    with pytest.raises(CheckpointError) as error:
        load(
            estimator(repo_root),
            dict(state_dict=broken | {'backbone.norm5.weight': torch.zeros(3)}),
        )
    assert 'head.final_layer.bias (17,)' in str(error.value)
    assert 'backbone.norm5.weight (3,)' in str(error.value)
    assert 'backbone.norm1' not in str(error.value)
    del state['backbone.norm2.weight']
    with pytest.raises(CheckpointError, match=r'Missing from the file \(1\)'):
        load(estimator(repo_root, out_indices=(0, 1, 2, 3)), pose_file[1])


def test_another_skeleton_needs_a_new_head(pose_file, released, repo_root) -> None:
    """Of which only the last layer is new: the trained deconvolutions are kept."""
    model = estimator(repo_root)
    model.head.final_layer = nn.Conv2d(256, 5, 1)
    new = {key: value.clone() for key, value in model.head.final_layer.state_dict().items()}
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        load(model, dict(pose_file[1]))
    load(model, dict(pose_file[1]), allow_new_head=True)
    assert all(value.equal(new[key]) for key, value in model.head.final_layer.state_dict().items())
    assert_loaded(model, released, but=names(['head.final_layer']))


def test_convert_pose_weights(pose_file, released, run_main, tmp_path) -> None:
    source, target = tmp_path / pose_file[0], tmp_path / 'out.pth'
    torch.save(pose_file[1], source)
    assert read_checkpoint(source).head_dim == 64
    assert run_main('tools/checkpoints/convert.py', source, target, '--task', 'dense') == 0
    written = torch.load(target)
    assert written['meta']['arch'] == 'small'
    assert written['state_dict'].keys() == released.keys()
    assert all(value.equal(released[key]) for key, value in written['state_dict'].items())
    backbone = {key: value for key, value in released.items() if key.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), source)
    target.unlink()
    said = run_main('tools/checkpoints/convert.py', source, target, '--task', 'dense')
    assert 'has no neck and heads of a dense model' in said
    assert not target.exists()


# --- recognizers ---

ARCH = dict(depths=(1, 1, 1, 1), embed_dims=(16, 16, 16, 32), head_dim=16)


def recognizer(num_classes: int = 400) -> nn.Module:
    pytest.importorskip('mmaction')
    head = dict(type='I3DHead', num_classes=num_classes, in_channels=32)
    backbone = dict(type='uniformer_mm.UniFormer3D', arch=ARCH)
    return build(dict(type='Recognizer3D', backbone=backbone, cls_head=head), 'mmaction')


def official_recognizer(num_classes: int = 400) -> dict:
    """A slowfast training file; bias i of its head is i."""
    state = UniFormer3D(ARCH).state_dict()
    state['head.weight'] = torch.rand(num_classes, 32)
    state['head.bias'] = torch.arange(float(num_classes))
    return dict(model_state=state, optimizer_state={}, epoch=1, cfg='MODEL: {}')


@pytest.mark.parametrize(
    ('num_classes', 'order', 'said'),
    [
        (400, 'kinetics400', "brought from the authors' order into MMAction2's of kinetics400"),
        (400, None, "class_order='kinetics400'"),
        (174, 'kinetics400', None),  # no Kinetics: the order stays
    ],
)
def test_classes_of_an_official_file(num_classes, order, said, log) -> None:
    model = recognizer(num_classes)
    state = load(model, official_recognizer(num_classes), class_order=order)
    assert state.keys() == model.state_dict().keys()
    bias = model.cls_head.fc_cls.bias
    if order and num_classes == 400:
        bias = bias[class_order(order)]
    assert torch.equal(bias, torch.arange(float(num_classes)))
    assert said in log.text if said else 'order' not in log.text


def test_converted_classes_are_right_already(log) -> None:
    state = recognizer().state_dict()
    model = recognizer()
    load(model, dict(state_dict=dict(state)), class_order='kinetics400')
    assert_loaded(model, state)
    assert 'order' not in log.text


def test_new_classes_of_videos() -> None:
    """To fine-tune on other data the head may differ, and only the head."""
    with pytest.raises(CheckpointError, match='cls_head.fc_cls.weight'):
        load(recognizer(174), official_recognizer())
    loaded = load(recognizer(174), official_recognizer(), allow_new_head=True)
    assert {key.removeprefix('backbone.') for key in loaded} == UniFormer3D(
        ARCH
    ).state_dict().keys()


def test_image_file_is_for_the_backbone() -> None:
    state = UniFormer(ARCH, out_indices=(3,), final_norm=True).state_dict()
    with pytest.raises(CheckpointError, match=r'use model\.backbone\.init_cfg'):
        load(recognizer(), dict(model=state), 'image.pth')


def test_unknown_order() -> None:
    with pytest.raises(ValueError, match="one of kinetics400, kinetics600; got 'kinetics700'"):
        CheckpointGuardHook(class_order='kinetics700')
