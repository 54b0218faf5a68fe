"""Mixup and CutMix of clips."""

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample


@pytest.fixture(autouse=True)
def seeded_numpy() -> None:
    np.random.seed(0)


def mix(num_clips: int = 6, **kwargs) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Clips whose every value is their number, mixed; and their labels."""
    mixer = MODELS.build(dict(type='uniformer_mm.BatchMixFlip', num_classes=10, **kwargs))
    clips = torch.arange(num_clips).float().view(-1, 1, 1, 1, 1, 1).expand(-1, 1, 3, 2, 16, 24)
    samples = [ActionDataSample().set_gt_label(number) for number in range(num_clips)]
    mixed, samples = mixer(clips, samples)
    return mixed, [sample.gt_label for sample in samples]


@pytest.mark.parametrize('kind', ['mixup', 'cutmix'])
def test_every_clip_is_mixed_with_its_mirror_image(kind) -> None:
    shares = []
    for _ in range(30):
        mixed, targets = mix(cutmix_prob=float(kind == 'cutmix'))
        share = targets[0][0].item()
        for number in range(6):
            expected = torch.zeros(10)
            expected[number] += share
            expected[5 - number] += 1 - share
            torch.testing.assert_close(targets[number], expected)
            # The share of the labels is that of the pixels, also for a box over the border.
            mean = share * number + (1 - share) * (5 - number)
            assert mixed[number].mean() == pytest.approx(mean, abs=1e-4)
        if kind == 'cutmix':
            assert set(mixed[0].unique().tolist()) <= {0.0, 5.0}
            assert (mixed[0] == mixed[0, :, :1, :1]).all(), 'the same box in all frames'
        else:
            assert mixed[0].unique().numel() == 1
        shares.append(share)
    assert np.std(shares) > 0.1


def test_how_often() -> None:
    cut = [(mix(2)[0] % 1 == 0).all().item() for _ in range(400)]
    assert np.mean(cut) == pytest.approx(0.5, abs=0.08)
    soft = [mix(2, prob=0.2)[1][0].numel() == 10 for _ in range(300)]
    assert np.mean(soft) == pytest.approx(0.2, abs=0.07)


def test_smoothing_after_mixing_is_smoothing_before() -> None:
    head = dict(type='I3DHead', num_classes=10, in_channels=4, label_smooth_eps=0.1)
    head = MODELS.build(dict(**head, average_clips='score'))
    _, targets = mix()
    samples = [ActionDataSample().set_gt_label(target) for target in targets]
    logits = torch.randn(6, 10)
    loss = head.loss_by_feat(logits, samples)['loss_cls']
    share, smooth = targets[0][0], torch.eye(10)[:6] * 0.9 + 0.01
    expected = share * smooth + (1 - share) * smooth.flip(0)
    torch.testing.assert_close(loss, -(expected * logits.log_softmax(1)).sum(1).mean())
