"""The efficient networks: what shrinking promises, and the heads that train it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from uniformer_mm import UniFormerLight, UniFormerLight3D
from uniformer_mm.models.layers import ShrinkingBlock, pool_score

NETWORKS = pytest.mark.parametrize('network', [UniFormerLight, UniFormerLight3D])
SHAPES = {UniFormerLight: (2, 3, 64, 96), UniFormerLight3D: (2, 3, 4, 64, 96)}


def image(*size: int) -> Tensor:
    return torch.randn(2, 3, *size).double()


def test_official_entries() -> None:
    """Their number in the authors' image, dense and video files, without the heads' seven."""
    classifier = dict(out_indices=(3,), final_norm=True)
    with torch.device('meta'):
        found = {
            'image xxs': len(UniFormerLight('xxs', **classifier).state_dict()) + 6,
            'dense xxs': len(UniFormerLight('xxs').state_dict()),
            'clips xxs': len(UniFormerLight3D('xxs').state_dict()) + 6,
            'clips xs': len(UniFormerLight3D('xs').state_dict()) + 6,
        }
        dense = [
            sum(p.numel() for p in UniFormerLight(arch).parameters()) for arch in ('xxs', 'xs')
        ]
    assert found == {'image xxs': 334, 'dense xxs': 331, 'clips xxs': 334, 'clips xs': 384}
    assert dense == [9_317_168, 15_483_136]


@torch.no_grad()
def test_block_written_out() -> None:
    """An odd number of tokens, sorted, merged and put back one by one; drop path drops all."""
    block = ShrinkingBlock(8, head_dim=4, drop_path=1 - 1e-9, layer_scale=0.5).double().train()
    x, cls_token = torch.randn(1, 8, 3, 5).double(), torch.randn(1, 1, 8).double()
    score = torch.rand(1, 15).double()
    out, new_cls, new_score = block(x, cls_token, score)

    tokens = block.pos_embed(x)[0].flatten(1).T
    order = score[0].argsort(descending=True)
    kept, dropped = order[:7], order[7:]
    merged = (score[0, dropped, None] * tokens[dropped]).sum(0) / score[0, dropped].sum()
    sequence = torch.cat([cls_token[0], tokens[kept], merged[None]])
    mixed, attention = block.attn(block.norm1(sequence)[None])
    q, k, _ = block.attn.qkv(block.norm1(sequence)).reshape(9, 3, 2, 4).unbind(1)
    rows = torch.stack([(q[0, h] @ k[:, h].T / 2).softmax(0) for h in (0, 1)]).mean(0)
    torch.testing.assert_close(attention[0], rows)
    # Dropped branches leave the kept tokens, but reach the others through the merged one.
    gain = 0.5 * mixed[0, -1] + 0.5 * block.mlp(block.norm2(merged))
    expected = tokens.clone()
    expected[dropped] += gain
    torch.testing.assert_close(out[0].flatten(1).T, expected)
    torch.testing.assert_close(new_cls, cls_token)
    blended = score[0].clone()
    blended[kept] = 0.5 * blended[kept] + 0.5 * rows[1:-1]
    torch.testing.assert_close(new_score[0], blended)


def test_pooled_scores_keep_their_sum() -> None:
    score = torch.rand(2, 2 * 5 * 7).double()
    pooled = pool_score(score, torch.Size((2, 5, 7)))
    cells = score.reshape(2, 2, 5, 7)[:, :, :4, :6].reshape(2, 2, 2, 2, 3, 2).sum((3, 5)).flatten(1)
    torch.testing.assert_close(pooled, cells * score.sum(1, True) / cells.sum(1, True))


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (190, 70)])
@NETWORKS
@torch.no_grad()
def test_any_size(network, size) -> None:
    """The stem rounds odd sizes up, the other embeddings floor them; one token may be left."""
    model = network('mini', out_indices=(0, 1, 2, 3), final_norm=False).eval()
    frames = (3,) if model.ndim == 3 else ()
    sides = [-(-s // 4) for s in size]
    for stage, out in enumerate(model(torch.rand(1, 3, *frames, *size))):
        expected = [s // 2**stage for s in sides]
        assert list(out.shape[-2:]) == expected and out.isfinite().all()


@NETWORKS
def test_training_and_inference_are_one_computation(network) -> None:
    model = network('mini', norm_eval=True, with_cls_token=True).double()
    x = torch.randn(SHAPES[network]).double()
    gradients = []
    for training in (True, False):  # frozen BatchNorms; heat maps
        outs = model.train(training)(x)
        feature_map, cls_token = outs[-1] if isinstance(outs[-1], tuple) else outs
        model.zero_grad()
        (feature_map.square().mean() + cls_token.square().mean()).backward()
        gradients.append(
            [
                feature_map,
                cls_token,
                *(p.grad.clone() for p in model.parameters() if p.grad is not None),
            ]
        )
    for found, expected in zip(*gradients, strict=True):
        assert torch.equal(found, expected)
    assert cls_token.shape == (2, 256)


@torch.no_grad()
def test_one_network_in_several_threads() -> None:
    model = UniFormerLight('mini').double().eval()
    inputs = [image(64, 32 * (1 + i % 3)) for i in range(8)]
    expected = [model(x)[-1] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for found, one in zip(pool.map(lambda x: model(x)[-1], inputs), expected, strict=True):
            assert torch.equal(found, one)


@torch.no_grad()
def test_samples_do_not_mix() -> None:
    model = UniFormerLight('mini').double().eval()
    x = image(64, 96)
    torch.testing.assert_close(model(x)[-1][1:], model(x[1:])[-1])


def test_kept_count_is_rounded_as_the_original() -> None:
    """0.7 x 90 is a little below 63 in floating point."""
    block = ShrinkingBlock(8, head_dim=4, keep_ratio=0.7)
    assert block.kept(torch.rand(1, 90)).shape == (1, 62)


@torch.no_grad()
def test_keeping_all_tokens_is_plain_attention() -> None:
    block = ShrinkingBlock(8, head_dim=4, keep_ratio=1).double()
    x, cls_token = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 1, 8).double()
    first = block(x, cls_token, None)
    later = block(x, cls_token, first[2])
    for found, expected in zip(later, first, strict=True):
        torch.testing.assert_close(found, expected)


# Heads


def build_head(name: str, scope: str, **kwargs) -> nn.Module:
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(
            dict(type=f'uniformer_mm.{name}', num_classes=5, in_channels=8, **kwargs)
        )


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return -(target * logits.log_softmax(1)).sum(1).mean()


def test_image_head() -> None:
    from mmpretrain.structures import DataSample

    head = build_head(
        'LightClsHead', 'mmpretrain', loss=dict(type='CrossEntropyLoss', use_soft=True)
    )
    feature_map, cls_token = torch.randn(3, 8, 2, 4), torch.randn(3, 8)
    target = torch.rand(3, 5)
    losses = head.loss(((feature_map, cls_token),), [DataSample().set_gt_score(t) for t in target])
    pooled = head.fc(feature_map.mean((2, 3)))
    of_token = head.token_fc(head.token_norm(cls_token))
    torch.testing.assert_close(losses['loss_map'], soft_cross_entropy(pooled, target) / 2)
    torch.testing.assert_close(losses['loss_token'], soft_cross_entropy(of_token, target) / 2)
    (prediction, *_) = head.predict(((feature_map, cls_token),))
    torch.testing.assert_close(prediction.pred_score, pooled[0].softmax(0))


def test_clip_head() -> None:
    from mmaction.structures import ActionDataSample

    head = build_head('LightHead3D', 'mmaction', dropout_ratio=0.0, average_clips='score')
    pair = torch.randn(3, 8, 2, 2, 4), torch.randn(3, 8)
    target = torch.rand(3, 5)
    losses = head.loss(pair, [ActionDataSample().set_gt_label(t) for t in target])
    pooled = head.fc_cls(pair[0].mean((2, 3, 4)))
    of_token = head.token_fc(head.token_norm(pair[1]))
    torch.testing.assert_close(losses['loss_map'], soft_cross_entropy(pooled, target) / 2)
    torch.testing.assert_close(losses['loss_token'], soft_cross_entropy(of_token, target) / 2)
    (prediction,) = head.predict(pair, [ActionDataSample()])
    torch.testing.assert_close(prediction.pred_score, pooled.mean(0).softmax(0))
