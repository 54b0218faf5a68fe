"""The authors' pose checkpoints (mmpose 0.x), mmpose's converted ones and ImageNet weights."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MMLogger
from paper_configs import build, read_config
from seeded_weights import seeded_state_dict
from torch import Tensor, nn

from uniformer_mm.checkpoints import CheckpointError, read_checkpoint
from uniformer_mm.engine import CheckpointGuardHook

pytest.importorskip('mmpose')

SMALL = 'td-hm_uniformer-s-8xb128-210e_coco-256x192'
# What mmpose calls the parts of its head of three deconvolutions.
HEAD = {
    *(f'deconv_layers.{i}.weight' for i in range(9) if i % 3 != 2),
    *(f'deconv_layers.{3 * i + 1}.{leaf}' for i in range(3) for leaf in ('bias', 'running_mean')),
    *(
        f'deconv_layers.{3 * i + 1}.{leaf}'
        for i in range(3)
        for leaf in ('running_var', 'num_batches_tracked')
    ),
    *('final_layer.weight', 'final_layer.bias'),
}


def pose_model(repo_root: Path, name: str = SMALL, **backbone) -> nn.Module:
    cfg = read_config(repo_root / f'configs/coco_pose/{name}.py')
    cfg.model.backbone.update(init_cfg=None, **backbone)
    return build(cfg.model, 'mmpose')


@pytest.fixture(scope='module')
def released(repo_root) -> dict[str, Tensor]:
    """Weights of the authors' network, which has norms for all four stages, under names of 1.x."""
    state = pose_model(repo_root, out_indices=(0, 1, 2, 3)).state_dict()
    return seeded_state_dict({key: value.shape for key, value in state.items()}, torch.float32)


def layouts(state: dict[str, Tensor]) -> dict[str, dict]:
    """What the two publishers make of the same weights."""
    old = {key.replace('head.', 'keypoint_head.'): value for key, value in state.items()}
    meta = dict(mmpose_version='0.16.0', config='model = dict()', epoch=210)
    optimizer = dict(state={}, param_groups=[])
    return {
        'authors': dict(meta=meta, state_dict=old, optimizer=optimizer),
        'mmpose': dict(meta=dict(dataset_meta=dict(num_keypoints=17)), state_dict=dict(state)),
    }


def load(model: nn.Module, checkpoint: dict, **kwargs) -> None:
    """What a Runner does with ``load_from`` after it has read the file."""
    runner = SimpleNamespace(model=model, _load_from='some/file.pth', _resume=False, work_dir='.')
    CheckpointGuardHook(**kwargs).after_load_checkpoint(runner, checkpoint)
    model.load_state_dict(checkpoint['state_dict'], strict=False)


@pytest.mark.parametrize('layout', ['authors', 'mmpose'])
def test_released_weights_load(layout, released, repo_root, caplog) -> None:
    model = pose_model(repo_root)
    head = {key.partition('.')[2] for key in model.state_dict() if key.startswith('head.')}
    assert head == HEAD
    checkpoint = layouts(released)[layout]
    assert any('head.final_layer' in key for key in checkpoint['state_dict'])
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING, logger=logger.name)
    load(model, checkpoint)
    logger.removeHandler(caplog.handler)
    for key, value in model.state_dict().items():
        assert torch.equal(value, released[key].to(value.dtype)), key
    assert 'backbone.norm1.bias, backbone.norm1.weight, backbone.norm2.bias' in caplog.text
    assert 'backbone.norm4' not in caplog.text


def test_what_does_not_fit_is_refused(released, repo_root) -> None:
    checkpoint = layouts(released)['authors']
    del checkpoint['state_dict']['keypoint_head.final_layer.bias']
    checkpoint['state_dict']['backbone.norm5.weight'] = torch.zeros(3)
    with pytest.raises(CheckpointError) as error:
        load(pose_model(repo_root), checkpoint)
    assert 'head.final_layer.bias (17,)' in str(error.value)
    assert 'backbone.norm5.weight (3,)' in str(error.value)
    assert 'backbone.norm1' not in str(error.value)


@pytest.mark.parametrize('layout', ['authors', 'mmpose'])
def test_another_skeleton_needs_a_new_head(layout, released, repo_root) -> None:
    """Of which only the last layer is new: the trained deconvolutions are kept."""
    model = pose_model(repo_root)
    model.head.final_layer = nn.Conv2d(256, 5, 1)
    new = {key: value.clone() for key, value in model.head.final_layer.state_dict().items()}
    with pytest.raises(CheckpointError, match='allow_new_head=True'):
        load(model, layouts(released)[layout])
    load(model, layouts(released)[layout], allow_new_head=True)
    state = model.state_dict()
    for key, value in new.items():
        assert torch.equal(state.pop(f'head.final_layer.{key}'), value), key
    assert sum(key.startswith('head.deconv_layers.') for key in state) == len(HEAD) - 2
    for key, value in state.items():
        assert torch.equal(value, released[key].to(value.dtype)), key


def test_norms_may_be_left_over_but_never_missing(released, repo_root) -> None:
    model = pose_model(repo_root, out_indices=(0, 1, 2, 3))
    checkpoint = layouts(released)['mmpose']
    del checkpoint['state_dict']['backbone.norm2.weight']
    with pytest.raises(CheckpointError, match=r'Missing from the file \(1\)'):
        load(model, checkpoint)


FILES = {
    'authors': 'top_down_256x192_global_small.pth',
    'mmpose': 'top_down_256x192_global_small-d4a7fdac_20230724.pth',
}


@pytest.mark.parametrize('layout', FILES)
def test_convert(layout, released, run_main, tmp_path) -> None:
    source, target = tmp_path / FILES[layout], tmp_path / 'out.pth'
    torch.save(layouts(released)[layout], source)
    assert read_checkpoint(source).head_dim == 64
    assert run_main('tools/checkpoints/convert.py', source, target, '--task', 'dense') == 0
    written = torch.load(target)
    assert written['state_dict'].keys() == released.keys()
    for key, value in written['state_dict'].items():
        assert torch.equal(value, released[key]), key
    assert written['meta']['arch'] == 'small'


def test_convert_refuses_what_has_no_such_head(released, run_main, tmp_path) -> None:
    source = tmp_path / FILES['authors']
    backbone = {key: value for key, value in released.items() if key.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), source)
    target = tmp_path / 'out.pth'
    said = run_main('tools/checkpoints/convert.py', source, target, '--task', 'dense')
    assert 'has no neck and heads of a dense model' in said
    assert not target.exists()
