"""Checkpoints of mmdet 2.x detectors, and ImageNet weights, in the detection configs' models."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from seeded_weights import seeded_state_dict
from torch import Tensor, nn

from uniformer_mm.checkpoints import CheckpointError
from uniformer_mm.engine import CheckpointGuardHook

pytest.importorskip('mmdet')

MASK = 'mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco'
CASCADE = 'cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco'


def names(modules: str, leaves: str = 'weight bias') -> set[str]:
    return {f'{module}.{leaf}' for module in modules.split() for leaf in leaves.split()}


def mask_head(prefix: str) -> set[str]:
    convs = ' '.join(f'{prefix}.convs.{i}.conv' for i in range(4))
    return names(f'{convs} {prefix}.upsample {prefix}.conv_logits')


NECK_AND_RPN = (
    {
        f'neck.{kind}_convs.{i}.conv.{leaf}'
        for kind in ('lateral', 'fpn')
        for i in range(4)
        for leaf in ('weight', 'bias')
    }
    | names('rpn_head.rpn_conv rpn_head.rpn_cls rpn_head.rpn_reg')
)  # fmt: skip
# What mmdet 2.11 calls the parts beside the backbone.
OFFICIAL = {
    MASK: NECK_AND_RPN
    | {
        f'roi_head.bbox_head.{module}.{leaf}'
        for module in ('shared_fcs.0', 'shared_fcs.1', 'fc_cls', 'fc_reg')
        for leaf in ('weight', 'bias')
    }
    | mask_head('roi_head.mask_head'),
    CASCADE: NECK_AND_RPN.union(
        *(
            names(' '.join(f'{box}.{fc}' for fc in ('shared_fcs.0', 'fc_cls', 'fc_reg')))
            | names(' '.join(f'{box}.shared_convs.{i}.conv' for i in range(4)), 'weight')
            | names(
                ' '.join(f'{box}.shared_convs.{i}.bn' for i in range(4)),
                'weight bias running_mean running_var num_batches_tracked',
            )
            | mask_head(f'roi_head.mask_head.{stage}')
            for stage, box in enumerate(f'roi_head.bbox_head.{i}' for i in range(3))
        )
    ),
}


def build(repo_root: Path, name: str, **backbone) -> nn.Module:
    from mmdet.registry import MODELS

    cfg = Config.fromfile(repo_root / f'configs/coco_det/{name}.py')
    cfg.model.backbone.update(init_cfg=None, **backbone)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg.model)


def official(state: dict[str, Tensor]) -> dict:
    """A training checkpoint as mmdet 2.x writes it."""
    meta = dict(mmdet_version='2.11.0', config='model = dict()', CLASSES=('person',), epoch=12)
    return dict(meta=meta, state_dict=dict(state), optimizer=dict(state={}, param_groups=[]))


def load(model: nn.Module, checkpoint: dict, **kwargs) -> None:
    """What a Runner does with ``load_from`` after it has read the file."""
    runner = SimpleNamespace(model=model, _load_from='some/file.pth', _resume=False, work_dir='.')
    CheckpointGuardHook(**kwargs).after_load_checkpoint(runner, checkpoint)
    model.load_state_dict(checkpoint['state_dict'], strict=not kwargs)


def changed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value + 1 for key, value in state.items()}


@pytest.mark.parametrize('name', OFFICIAL)
def test_names_are_the_official_ones(repo_root, golden_dense, name) -> None:
    with torch.device('meta'):
        own = build(repo_root, name).state_dict()
    backbone = golden_dense['maps']['uniformer_small_dense']
    assert own.keys() == {f'backbone.{key}' for key in backbone} | OFFICIAL[name]
    assert all(list(own[f'backbone.{key}'].shape) == shape for key, shape in backbone.items())


TINY = dict(depths=(1, 1, 4, 1), with_cp=False)


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_detector_loads(repo_root, name) -> None:
    model = build(repo_root, name, **TINY)
    state = changed(model.state_dict())
    load(model, official(state))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_every_style_loads_the_others_file(repo_root, tmp_path) -> None:
    hybrid = build(repo_root, MASK, **TINY)
    path = tmp_path / 'hybrid.pth'
    torch.save(official(hybrid.state_dict()), path)
    for style in ('w14', 'g'):
        model = build(repo_root, MASK.replace('h14', style), **TINY)
        load(model, torch.load(path, weights_only=True))
        state = model.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in hybrid.state_dict().items())


def test_detector_that_does_not_fit(repo_root) -> None:
    model = build(repo_root, MASK, **TINY)
    state = changed(model.state_dict())
    del state['roi_head.mask_head.upsample.weight']
    state['neck.extra.weight'] = torch.zeros(2)
    state['backbone.norm3.weight'] = torch.zeros(5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        load(model, official(state))
    for line in (
        'Missing from the file (1):\n    roi_head.mask_head.upsample.weight (256, 256, 2, 2)',
        'Not in the model (1):\n    neck.extra.weight (2,)',
        'backbone.norm3.weight: the model has (320,), the file (5,)',
    ):
        assert line in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_detector_for_other_classes(repo_root) -> None:
    """Fine-tuning on own data: only what depends on the number of classes starts anew."""
    model = build(repo_root, MASK, **TINY)
    state = changed(model.state_dict())
    for key, size in (('fc_cls', 3), ('fc_reg', 8)):
        for leaf in ('weight', 'bias'):
            name = f'roi_head.bbox_head.{key}.{leaf}'
            state[name] = state[name][:size]
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        load(model, official(state))
    load(model, official(state), allow_new_head=True)
    own = model.state_dict()
    kept = {key for key, value in own.items() if not torch.equal(value, state[key])}
    assert kept == {
        f'roi_head.bbox_head.{key}.{leaf}'
        for key in ('fc_cls', 'fc_reg')
        for leaf in ('weight', 'bias')
    }


def test_imagenet_weights_report_the_norms_that_stay(
    repo_root, golden_imagenet, tmp_path, caplog
) -> None:
    """The authors' classifier in the backbone of a leaf, as ``init_cfg`` names it."""
    keys = golden_imagenet['models']['uniformer_small']['keys']
    state = seeded_state_dict(keys, torch.float32)
    path = tmp_path / 'uniformer_small_in1k.pth'
    torch.save(dict(model=state), path)
    model = build(repo_root, MASK)
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger=logger.name)
    model.init_weights()
    logger.removeHandler(caplog.handler)

    own = model.backbone.state_dict()
    norms = {f'norm{i}.{leaf}' for i in range(1, 5) for leaf in ('weight', 'bias')}
    assert {key for key in own if key not in state} == norms
    assert all(torch.equal(own[key], state[key]) for key in own.keys() - norms)
    assert all(own[f'norm{i}.weight'].eq(1).all() for i in range(1, 5))
    assert not any(own[f'norm{i}.bias'].any() for i in range(1, 5))
    (report,) = [r.getMessage() for r in caplog.records if 'backbone entries' in r.getMessage()]
    listed = ', '.join(f'norm{i}.{{weight,bias}}' for i in range(1, 5))
    assert f'Loaded {len(own) - 8} backbone entries from {path}.' in report
    assert report.endswith(f'At their initial values (8): {listed}.')
    assert 'Not used (7): norm.{' in report and 'head.{weight,bias}.' in report
