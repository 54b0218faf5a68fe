"""Token labelling on clips: the loss as published, and a teacher that nothing touches."""

import copy
import math
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from paper_configs import build, check_gradients
from torch import nn

from uniformer_mm import TeacherTokenLoss
from uniformer_mm.checkpoints import CheckpointError

pytest.importorskip('mmaction')

CLASSES = 7


def network(**options) -> dict:
    return dict(type='uniformer_mm.DualFormer', arch='mini', clip_size=(4, 64, 64), **options)


def head(kind: str, **options) -> dict:
    return dict(type=kind, num_classes=CLASSES, in_channels=256, average_clips='prob', **options)


@pytest.fixture
def teacher(tmp_path) -> dict:
    """A recognizer of random weights in a file."""
    cfg = dict(backbone=network(drop_path_rate=0.5), cls_head=head('I3DHead'))
    model = build(dict(type='Recognizer3D', **cfg), 'mmaction')
    model.cls_head.init_std = 0.5
    model.init_weights()
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return dict(cfg, checkpoint=str(path))


def recognizer(teacher: dict, **options) -> dict:
    return dict(
        type='uniformer_mm.TokenLabelRecognizer3D',
        backbone=network(),
        cls_head=head('uniformer_mm.TokenLabelHead3D', **options),
        teacher=teacher,
        data_preprocessor=dict(
            type='ActionDataPreprocessor', mean=[127.5], std=[127.5], format_shape='NCTHW'
        ),
    )


def build_model(teacher: dict, **options) -> nn.Module:
    model = build(recognizer(teacher, **options), 'mmaction')
    with DefaultScope.overwrite_default_scope('mmaction'):
        model.init_weights()
    return model


def plain_teacher(teacher: dict) -> nn.Module:
    """The recognizer that the teacher is."""
    cfg = {key: teacher[key] for key in ('backbone', 'cls_head')}
    model = build(dict(type='Recognizer3D', **cfg), 'mmaction').eval()
    model.load_state_dict(torch.load(teacher['checkpoint'])['state_dict'])
    return model


def check_same(found: nn.Module, expected: nn.Module) -> None:
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=0, atol=0)


def samples(count: int = 4, side: int = 64) -> list[dict]:
    from mmaction.structures import ActionDataSample

    return [
        dict(
            inputs=torch.randint(256, (1, 3, 4, side, side), dtype=torch.uint8),
            data_samples=ActionDataSample().set_gt_label(label),
        )
        for label in range(count)
    ]


def batch() -> dict:
    columns = zip(*(sample.values() for sample in samples(2)), strict=True)
    return dict(zip(('inputs', 'data_samples'), map(list, columns), strict=True))


def test_loss_written_out() -> None:
    """Token by token and class by class; a teacher of twice the frames."""
    logits, labels = torch.randn(2, 2, 1, 3, 7).double(), torch.randn(2, 4, 1, 3, 7).double()
    terms = []
    for clip, student in zip(labels.tolist(), logits.tolist(), strict=True):
        for time in range(2):
            for column in range(3):
                early, late = (clip[t][0][column] for t in (time, time + 2))
                scores = [(a + b) / 2 for a, b in zip(early, late, strict=True)]
                largest = sorted(range(7), key=lambda k: scores[k])[-5:]
                powers = [math.exp(scores[k] if k in largest else 0) for k in range(7)]
                token = student[time][0][column]
                rest = math.log(sum(map(math.exp, token)))
                terms += [
                    -power / sum(powers) * (score - rest)
                    for power, score in zip(powers, token, strict=True)
                ]
    expected = 0.5 * sum(terms) / (2 * 2 * 3)
    assert TeacherTokenLoss()(logits, labels).item() == pytest.approx(expected, rel=1e-12)
    # With no more classes than are kept, the target is the teacher's own distribution.
    logits, labels = logits[..., :4], labels[:, :2, ..., :4]
    expected = -(labels.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(TeacherTokenLoss(loss_weight=1.0)(logits, labels), expected)


@pytest.mark.parametrize('shape', [(3, 2, 2, 7), (4, 2, 3, 7), (4, 2, 2, 6)])
def test_teacher_of_other_tokens_is_refused(shape) -> None:
    with pytest.raises(ValueError, match=r'student are \(2, 2, 2, 7\) .* teacher \(\d, 2, '):
        TeacherTokenLoss()(torch.zeros(1, 2, 2, 2, 7), torch.zeros(1, *shape))


def test_head() -> None:
    """Official names; scores are those of the plain head, from one token on."""
    model = build(head('uniformer_mm.TokenLabelHead3D'), 'mmaction').eval()
    state = model.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items() if 'weight' in name}
    assert shapes == {
        'fc_cls.weight': (7, 256),
        'token_linear.0.weight': (512, 256),
        'token_linear.3.weight': (1024, 512),
        'token_linear.6.weight': (7, 1024),
    }
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.5] * 3
    plain = build(head('I3DHead'), 'mmaction').eval()
    plain.load_state_dict({k: v for k, v in state.items() if k.startswith('fc_cls')})
    feats = torch.randn(2, 256, 2, 3, 1)
    torch.testing.assert_close(model(feats), plain(feats))
    tokens = model.token_logits(feats)
    assert tokens.shape == (2, 2, 3, 1, 7)
    torch.testing.assert_close(tokens[1, 0, 2, 0], model.token_linear(feats[1, :, 0, 2, 0]))


def test_hard_labels_in_bfloat16() -> None:
    """mmaction's own head ends in a TypeError."""
    logits, clips = torch.randn(4, 7).bfloat16(), [sample['data_samples'] for sample in samples()]
    ours = build(head('uniformer_mm.Float32I3DHead'), 'mmaction')
    found, expected = (ours.loss_by_feat(x, clips) for x in (logits, logits.float()))
    torch.testing.assert_close(found, expected)
    with pytest.raises(TypeError):
        build(head('I3DHead'), 'mmaction').loss_by_feat(logits, clips)


def test_losses_of_a_clip(teacher) -> None:
    """Half of each; the teacher's classifier reads every position of its map."""
    model = build_model(teacher).eval()
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    assert losses.keys() == {'loss_cls', 'loss_token', 'top1_acc', 'top5_acc'}

    plain = plain_teacher(teacher)
    feats, of_teacher = (net.backbone(data['inputs'][:, 0]) for net in (model, plain))
    logits = model.cls_head.fc_cls(feats.mean((2, 3, 4)))
    expected = 0.5 * nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(losses['loss_cls'], expected)
    labels = torch.stack(
        [plain.cls_head(token[..., None, None, None]) for token in of_teacher.flatten(2).unbind(2)],
        1,
    )
    labels = labels.unflatten(1, of_teacher.shape[2:])
    expected = TeacherTokenLoss()(model.cls_head.token_logits(feats), labels)
    torch.testing.assert_close(losses['loss_token'], expected)


def test_teacher_is_no_part_of_the_model(teacher) -> None:
    model = build_model(teacher)
    untrained = build(recognizer(teacher), 'mmaction')  # knows no teacher yet
    for names in (nn.Module.state_dict, lambda m: dict(m.named_modules())):
        assert names(model).keys() == names(untrained).keys()
    frozen = [*model.teacher.parameters()]
    assert not {*map(id, frozen)} & {*map(id, model.parameters())}

    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.train().requires_grad_(True)
    assert not any(module.training for module in model.teacher.modules())
    assert not any(parameter.requires_grad for parameter in frozen)
    norms = [m for m in model.teacher.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and not any(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert copy.deepcopy(model).teacher is model.teacher
    model.init_weights()
    assert [*model.teacher.parameters()] == frozen  # and not made anew


@pytest.mark.parametrize('amp', [False, True], ids=['float32', 'bfloat16'])
def test_every_parameter_learns(teacher, amp) -> None:
    """Of the student: the teacher has no gradient, and its statistics stay."""
    model = build_model(teacher)
    with (
        torch.autocast('cpu', torch.bfloat16, enabled=amp),
        DefaultScope.overwrite_default_scope('mmaction'),
    ):
        check_gradients(model, batch())
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    check_same(model.teacher, plain_teacher(teacher))


def test_teacher_follows_the_clips(teacher) -> None:
    model = build_model(teacher).double()
    data = model.data_preprocessor(batch(), True)
    losses = model.loss(data['inputs'].double(), data['data_samples'])
    assert {losses[name].dtype for name in ('loss_cls', 'loss_token')} == {torch.float64}


def test_what_cannot_be_trained(teacher) -> None:
    with pytest.raises(ValueError, match="type='uniformer_mm.TokenLabelHead3D'.*got I3DHead"):
        build(dict(recognizer(teacher), cls_head=head('I3DHead')), 'mmaction')
    with pytest.raises(RuntimeError, match=r'before init_weights\(\)'):
        build(recognizer(teacher), 'mmaction').loss(torch.zeros(1, 1, 3, 4, 64, 64), [])
    with pytest.raises(CheckpointError, match='model.teacher.*There is no checkpoint .*none.pth'):
        build_model(dict(teacher, checkpoint='weights/none.pth'))
    with pytest.raises(CheckpointError, match='teacher.pth does not fit the model'):
        build_model(dict(teacher, cls_head=head('I3DHead') | dict(num_classes=8)))


def test_run(teacher, tmp_path) -> None:
    """Averaged, saved, resumed strictly; tested without the teacher's file."""
    data = dict(
        batch_size=2,
        num_workers=0,
        dataset=samples(side=32),
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )

    def runner(epochs: int = 1, **options) -> Runner:
        return Runner(
            recognizer(teacher),
            str(tmp_path),
            train_dataloader=data,
            test_dataloader=data,
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            test_cfg={},
            test_evaluator=dict(type='AccMetric'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            custom_hooks=[dict(type='EMAHook', update_buffers=True)],
            default_hooks=dict(guard=dict(type='uniformer_mm.CheckpointGuardHook')),
            default_scope='mmaction',
            experiment_name=f'{tmp_path.name}_{epochs}_{len(options)}',
            **options,
        )

    first = runner()
    first.train()
    student = [*map(id, first.model.parameters())]
    (group,) = first.optim_wrapper.param_groups
    assert [*map(id, group['params'])] == student
    check_same(first.model.teacher, plain_teacher(teacher))
    file = tmp_path / 'epoch_1.pth'
    saved = torch.load(file, weights_only=False)
    assert saved['state_dict'].keys() == first.model.state_dict().keys()
    assert not any('teacher' in key for key in saved['ema_state_dict'])

    second = runner(2, resume=True, load_from=str(file))
    second.train()
    assert second.iter == 4
    Path(teacher['checkpoint']).unlink()
    assert 'acc/top1' in runner(load_from=str(file)).test()
