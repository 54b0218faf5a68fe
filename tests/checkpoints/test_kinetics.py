"""The classes of released Kinetics heads in MMAction2's order."""

import pytest
import torch

from uniformer_mm import UniFormer, UniFormer3D
from uniformer_mm.checkpoints import (
    CheckpointError,
    class_order,
    known_class_order,
    parse_checkpoint,
    reorder_head,
    to_mm,
    to_official,
)

ARCH = {'depths': (1, 1, 1, 1), 'embed_dims': (16, 16, 16, 32), 'head_dim': 16}


def official(num_classes: int, network: type = UniFormer3D) -> dict:
    """An official file whose head tells every class's number: row i is filled with i."""
    state = network(ARCH, out_indices=(3,), final_norm=True).state_dict()
    numbers = torch.arange(num_classes, dtype=torch.float32)
    state |= {'head.weight': numbers[:, None].repeat(1, 32), 'head.bias': numbers}
    return {'model_state': state}


@pytest.mark.parametrize('num_classes', [400, 600])
def test_table_is_a_permutation_without_a_fixed_class(num_classes):
    order = class_order(f'kinetics{num_classes}')
    assert torch.equal(order.sort().values, torch.arange(num_classes))
    assert not (order == torch.arange(num_classes)).any()


def test_table_holds_the_authors_lists():
    """The first and last classes of the authors' lists."""
    assert class_order('kinetics400')[[0, 1, 2, 3]].tolist() == [267, 192, 94, 228]
    with pytest.raises(ValueError, match="not 'kinetics700'"):
        class_order('kinetics700')


@pytest.mark.parametrize('num_classes', [400, 600])
def test_head_there_and_back(num_classes):
    name = f'kinetics{num_classes}'
    weights = parse_checkpoint(official(num_classes), 'a.pth')
    assert known_class_order(weights) == name
    reordered = reorder_head(weights, name, to_mmaction=True)
    state = to_mm(reordered)
    # The authors' class i is at MMAction2's place for it, in weight and bias.
    for theirs, ours in enumerate(class_order(name).tolist()):
        assert (state['cls_head.fc_cls.weight'][ours] == theirs).all()
        assert state['cls_head.fc_cls.bias'][ours] == theirs
    assert torch.equal(weights.classifier['head.bias'], torch.arange(num_classes).float())
    again = parse_checkpoint({'state_dict': state}, 'b.pth')
    back = to_official(reorder_head(again, name, to_mmaction=False))
    assert torch.equal(back['head.weight'], weights.classifier['head.weight'])


@pytest.mark.parametrize('network, num_classes', [(UniFormer3D, 174), (UniFormer, 400)])
def test_other_heads_have_no_order(network, num_classes):
    weights = parse_checkpoint(official(num_classes, network), 'a.pth')
    assert known_class_order(weights) is None
    with pytest.raises(CheckpointError, match='cannot be in the order of kinetics400'):
        reorder_head(weights, 'kinetics400', to_mmaction=True)


def test_recognizers_of_other_networks_keep_their_names():
    """A 2D network's entries are no UniFormer's head, wherever they are."""
    state = {
        'backbone.conv1.weight': torch.zeros(1, 1, 3, 3),
        'cls_head.fc_cls.bias': torch.ones(4),
    }
    assert to_mm(parse_checkpoint({'state_dict': state}, '')).keys() == state.keys()
