"""Token labelling: targets, losses and scores equal the original ones; MixToken is undone."""

import numpy as np
import pytest
import torch
from golden import assert_matches
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from paper_configs import build, check_gradients, read_config
from seeded_weights import seeded_input, seeded_state_dict, summarise
from torch import Tensor, nn

from uniformer_mm import TokenLabelLoss, TokenLabelTarget, UniFormer
from uniformer_mm.models.batch_box import BatchBox

MINI = 'mini/uniformer-mini_token-label_1xb32_digits'
CROP = [0.05, 0.4, 0.5, 0.3]


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def build_head(**kwargs) -> nn.Module:
    return build(dict(type='uniformer_mm.TokenLabelHead', **kwargs), 'mmpretrain')


def label_maps(batch: int = 2, num_classes: int = 1000, side: int = 18) -> Tensor:
    """The label maps of the golden targets."""
    scores = seeded_input((2, 5, 18, 18), 21).float()[:batch, :, :side, :side]
    sample, k, y, x = torch.meshgrid(
        *(torch.arange(n) for n in (batch, 5, side, side)), indexing='ij'
    )
    classes = ((18 * y + x) * 7 + 131 * k + 17 * sample) % num_classes
    return torch.stack([scores, classes.float()], 1)


@torch.no_grad()
def test_scores(golden_imagenet) -> None:
    golden = golden_imagenet['models']['uniformer_small_tl']
    state = seeded_state_dict(golden['keys'])
    names = {'head': 'fc', 'aux_head': 'aux_fc'}
    classifiers = {key: state.pop(key) for key in list(state) if key.split('.')[0] in names}
    backbone = UniFormer('small', head_dim=32, out_indices=(3,), final_norm=True).double().eval()
    backbone.load_state_dict(state)
    head = build_head(num_classes=1000, in_channels=512).double()
    head.load_state_dict(
        {key.replace(name := key.split('.')[0], names[name]): v for key, v in classifiers.items()}
    )
    modules = (*backbone.parameters(), *head.parameters())
    assert sum(p.numel() for p in modules) == golden['params']

    feats = backbone(seeded_input(golden['input']['shape'], golden['input']['seed']))
    found = dict(
        features=feats[0],
        cls_logits=head.fc(head.pre_logits(feats)),
        aux_logits=head.token_logits(feats).flatten(2).transpose(1, 2),
        logits=head(feats),
    )
    for name, output in found.items():
        assert_matches(output, golden['outputs'][name], name)


def test_losses(golden_imagenet) -> None:
    golden = golden_imagenet['token_label_loss']
    inputs = golden['inputs'].values()
    cls, aux, target = (seeded_input(described['shape'], described['seed']) for described in inputs)
    for case in golden['cases']:
        top, left, bottom, right = case['box']
        loss = TokenLabelLoss(1.0, case['dense_weight'], case['ground_truth'])
        box = BatchBox(top, bottom, left, right)
        losses = loss(cls, aux.transpose(1, 2), target.softmax(1), box)
        assert sum(losses.values()).item() == pytest.approx(case['loss'], rel=1e-9)
        if box.area == 0:
            assert losses == loss(cls, aux.transpose(1, 2), target.softmax(1))


@pytest.mark.parametrize('swap_axes', [True, False], ids=['official', 'corrected'])
def test_targets(golden_imagenet, swap_axes) -> None:
    golden = golden_imagenet['token_label_target']
    build_target = TokenLabelTarget(golden['smoothing'], swap_axes)
    truth = torch.tensor(golden['ground_truth'])
    for case in golden['cases']:
        crop = torch.tensor(case['crop'])
        if not swap_axes:  # what the original code takes for the crop
            crop = crop[:, [1, 0, 3, 2]]
        target = build_target(label_maps(), crop, truth, 1000, (case['label_size'],) * 2)
        target = target[..., : case['target']['shape'][2]]  # a single token has none of its own
        found = summarise(target)
        assert found['shape'] == case['target']['shape']
        for key in ('mean', 'std', 'absmax', 'samples'):
            assert found[key] == pytest.approx(case['target'][key], abs=1e-6)
        values, classes = target[..., 1:].max(1)
        assert classes.flatten().tolist() == case['argmax']
        assert values.flatten().tolist() == pytest.approx(case['max'], abs=1e-6)
        # One image at a time, where the original code fails.
        alone = [
            build_target(label_maps()[i : i + 1], crop[i : i + 1], truth[i : i + 1], 1000, (7, 7))
            for i in range(2)
        ]
        together = build_target(label_maps(), crop, truth, 1000, (7, 7))
        torch.testing.assert_close(torch.cat(alone), together)


def test_corrected_labels_are_of_the_tokens_own_place() -> None:
    """Also on a map that is not square."""
    numbers = torch.arange(48.0).view(1, 1, 6, 8)
    maps = torch.stack([torch.full_like(numbers, 9.0), numbers], 1)
    # Rows 2 and 3 of 6, columns 5 to 7 of 8.
    crop = torch.tensor([[2 / 6, 5 / 8, 2 / 6, 3 / 8]])
    target = TokenLabelTarget(swap_axes=False)(maps, crop, torch.tensor([7]), 48, (2, 3))
    assert target.shape == (1, 48, 8)
    assert target[0].argmax(0)[2:].tolist() == [21, 22, 23, 29, 30, 31]
    assert target[0, :, 0].argmax() == 7
    torch.testing.assert_close(target[0].sum(0)[1:], torch.full((7,), 1 + 0.1 / 48))


def test_boxes_are_those_of_the_original_rule() -> None:
    boxes = [BatchBox.random(56, 40) for _ in range(2000)]
    for box in boxes:
        assert 0 <= box.top <= box.bottom <= 56
        assert 0 <= box.left <= box.right <= 40
    # Uncut, a box covers half the map on average; cut off at the borders, less.
    shares = [box.area / (56 * 40) for box in boxes]
    assert 0.25 < np.mean(shares) < 0.35
    assert max(shares) > 0.7
    assert BatchBox(9, 25, 7, 40).shrink(8) == (1, 3, 0, 5)


class Pooling(nn.Module):
    """A network in which a token sees nothing but its own pixels."""

    def forward(self, x: Tensor, mix=None) -> tuple[Tensor]:
        x = nn.functional.avg_pool2d(x, 4)
        return (nn.functional.avg_pool2d(x if mix is None else mix(x), 8),)


def build_classifier(**kwargs) -> nn.Module:
    return build(
        dict(
            type='uniformer_mm.TokenLabelClassifier',
            backbone=Pooling(),
            head=build_head(num_classes=10, in_channels=3),
            **kwargs,
        ),
        'mmpretrain',
    )


def make_samples(batch: int = 4, num_classes: int = 10) -> list[DataSample]:
    maps = label_maps(2, num_classes, 6)
    samples = []
    for i in range(batch):
        sample = DataSample().set_gt_label(i)
        sample.token_label, sample.crop_box = maps[i % 2], torch.tensor(CROP)
        samples.append(sample)
    return samples


def test_tokens_go_back_to_their_images(monkeypatch) -> None:
    """What a token saw of another image is compared with that image's label."""
    model, images = build_classifier(), torch.randn(4, 3, 96, 128)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    plain = build_classifier(mix_alpha=None)
    plain.load_state_dict(model.state_dict())
    box = BatchBox(8, 24, 0, 16)  # whole tokens: 2 x 2 of 3 x 4
    monkeypatch.setattr(BatchBox, 'random', lambda height, width, alpha: box)
    mixed, unmixed = (m.loss(images, make_samples()) for m in (model, plain))
    torch.testing.assert_close(mixed['loss_tokens'], unmixed['loss_tokens'])
    assert not torch.allclose(mixed['loss_cls'], unmixed['loss_cls'], rtol=1e-5)
    # The image is what a third of another one makes of it, and so is its target.
    feats = plain.backbone(images)[0].clone()
    feats[:, :, 1:3, :2] = feats[:, :, 1:3, :2].flip(0)
    logits = model.head.fc(feats.mean((2, 3)))
    target = model.head.target(
        torch.stack([sample.token_label for sample in make_samples()]),
        torch.tensor([CROP] * 4),
        torch.arange(4),
        10,
        (3, 4),
    )[..., 1]
    target = target * 2 / 3 + target.flip(0) / 3
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(mixed['loss_cls'], expected)


def test_nothing_is_mixed_in_a_test() -> None:
    model, images = build_classifier(), torch.randn(2, 3, 70, 90)  # of any size
    together = model(images, mode='tensor')
    alone = torch.cat([model(image[None], mode='tensor') for image in images])
    torch.testing.assert_close(together, alone)
    predictions = model(images, mode='predict')
    assert [p.pred_label.item() for p in predictions] == together.argmax(1).tolist()


def test_sides_that_cannot_be_mixed_are_refused() -> None:
    images = torch.randn(2, 3, 96, 100)
    with pytest.raises(ValueError, match='multiples of 32; got 96 x 100'):
        build_classifier().loss(images, make_samples(2))
    assert build_classifier(mix_alpha=None).loss(images, make_samples(2))


def test_samples_without_label_maps_are_refused() -> None:
    samples = [DataSample().set_gt_label(0) for _ in range(2)]
    with pytest.raises(ValueError, match='no token_label and no crop_box: the pipeline needs'):
        build_classifier().loss(torch.randn(2, 3, 64, 64), samples)


@pytest.mark.parametrize('amp', [False, True], ids=['float32', 'bfloat16'])
def test_every_parameter_learns(amp) -> None:
    cfg = read_config(MINI)
    model = build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}, 'mmpretrain')
    model.init_weights()
    data = dict(inputs=torch.randint(256, (4, 3, 64, 64)), data_samples=make_samples())
    with (
        torch.autocast('cpu', torch.bfloat16, enabled=amp),
        DefaultScope.overwrite_default_scope('mmpretrain'),
    ):
        check_gradients(model, data)
