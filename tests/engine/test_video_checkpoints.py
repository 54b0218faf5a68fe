"""Files of video networks in MMAction2's recognizers, through the guard."""

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import CheckpointError, class_order, load_model
from uniformer_mm.engine import CheckpointGuardHook

models = pytest.importorskip('mmaction.models')

ARCH = {'depths': (1, 1, 1, 1), 'embed_dims': (16, 16, 16, 32), 'head_dim': 16}


def recognizer(num_classes: int = 400) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmaction'):
        return models.Recognizer3D(
            backbone={'type': 'uniformer_mm.UniFormer3D', 'arch': ARCH},
            cls_head={'type': 'I3DHead', 'num_classes': num_classes, 'in_channels': 32},
        )


def official(num_classes: int = 400) -> dict:
    """A slowfast training file; bias i of its head is i."""
    state = UniFormer3D(ARCH).state_dict()
    state['head.weight'] = torch.rand(num_classes, 32)
    state['head.bias'] = torch.arange(float(num_classes))
    return {'model_state': state, 'optimizer_state': {}, 'epoch': 1, 'cfg': 'MODEL: {}'}


def loaded_bias(checkpoint: dict, num_classes: int = 400, **guard) -> torch.Tensor:
    model = recognizer(num_classes)
    load_model(model, checkpoint, 'k400.pyth', **guard)
    assert checkpoint['state_dict'].keys() == model.state_dict().keys()
    return model.cls_head.fc_cls.bias.detach()


def test_official_classes_are_renumbered_on_request(log):
    bias = loaded_bias(official(), class_order='kinetics400')
    assert torch.equal(bias[class_order('kinetics400')], torch.arange(400.0))
    assert "brought from the authors' order into MMAction2's of kinetics400" in log.text


def test_official_classes_of_unknown_data_are_a_warning(log):
    assert torch.equal(loaded_bias(official()), torch.arange(400.0))
    assert "class_order='kinetics400'" in log.text


def test_a_head_of_another_size_keeps_its_order(log):
    bias = loaded_bias(official(174), 174, class_order='kinetics400')
    assert torch.equal(bias, torch.arange(174.0))
    assert 'order' not in log.text


def test_converted_classes_are_right_already(log):
    model = recognizer()
    state = model.state_dict()
    bias = loaded_bias({'state_dict': state}, class_order='kinetics400')
    assert torch.equal(bias, state['cls_head.fc_cls.bias'])
    assert 'order' not in log.text


def test_new_classes():
    """To fine-tune on other data the head may differ, and only the head."""
    with pytest.raises(CheckpointError, match='cls_head.fc_cls.weight'):
        loaded_bias(official(), 174)
    model = recognizer(174)
    load_model(model, checkpoint := official(), 'k400.pyth', allow_new_head=True)
    expected = official()['model_state'].keys() - {'head.weight', 'head.bias'}
    assert {key.removeprefix('backbone.') for key in checkpoint['state_dict']} == expected


def test_image_file_is_for_the_backbone():
    state = UniFormer(ARCH, out_indices=(3,), final_norm=True).state_dict()
    with pytest.raises(CheckpointError, match=r'use model\.backbone\.init_cfg'):
        load_model(recognizer(), {'model': state}, 'image.pth')


def test_unknown_order():
    with pytest.raises(ValueError, match="one of kinetics400, kinetics600; got 'kinetics700'"):
        CheckpointGuardHook(class_order='kinetics700')
