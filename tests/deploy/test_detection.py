"""Two-stage detectors as graphs find what mmdet finds."""

import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import Tensor, nn

from uniformer_mm.deploy.detection import DetectorGraph, _suppress
from uniformer_mm.deploy.formats import load_onnx, write_onnx
from uniformer_mm.errors import UserError

MASK = 'mask-rcnn_uniformer-mini-h_fpn_coco-digits'
CASCADE = 'cascade-mask-rcnn_uniformer-mini-h_fpn_coco-digits'


@pytest.fixture
def build(repo_root):
    """A detector of a mini config, whose random heads are sure of what they see."""

    def build(name: str, **roi_head) -> nn.Module:
        register_all_modules()
        config = Config.fromfile(repo_root / f'configs/mini/{name}.py').model
        config.backbone.init_cfg = None
        config.roi_head.update(roi_head)
        model = MODELS.build(config).eval()
        for name, parameter in model.named_parameters():
            if any(part in name for part in ('fc_cls', 'fc_reg', 'rpn_', 'conv_logits')):
                nn.init.normal_(parameter, std=0.1)
        return model

    return build


def check(model: nn.Module, images: Tensor, found: tuple[Tensor, ...]) -> None:
    """The same boxes, scores, labels and, pasted, masks as mmdet's; and nothing behind them."""
    size = tuple(images.shape[-2:])
    padded = [-(-side // 32) * 32 for side in size]
    samples = [
        DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        for _ in images
    ]
    pad = (0, padded[1] - size[1], 0, padded[0] - size[0])
    with torch.no_grad():
        results = model.predict(nn.functional.pad(images, pad), samples, rescale=False)
    for sample, boxes, scores, labels, masks in zip(results, *found, strict=True):
        expected = sample.pred_instances
        count = len(expected)
        assert count > 1 and boxes.shape[0] == model.roi_head.test_cfg.max_per_img
        torch.testing.assert_close(boxes[:count], expected.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(scores[:count], expected.scores, rtol=0, atol=1e-4)
        assert labels[:count].equal(expected.labels)
        pasted = _do_paste_mask(masks[:count, None], boxes[:count], *size, skip_empty=False)[0]
        assert ((pasted >= 0.5) != expected.masks).float().mean() < 1e-4
        assert not scores[count:].any() and not boxes[count:].any() and not labels[count:].any()


@torch.no_grad()
def test_graph_finds_what_mmdet_finds(build) -> None:
    model = build(CASCADE)
    graph = DetectorGraph(model)
    assert graph.output_names == ('boxes', 'scores', 'labels', 'masks')
    for shape in ((2, 3, 96, 128), (1, 3, 75, 131)):
        images = torch.randn(shape)
        check(model, images, graph(images))


def test_onnx_finds_what_mmdet_finds(build, tmp_path) -> None:
    model = build(MASK)
    graph = DetectorGraph(model)
    write_onnx(tmp_path / 'model.onnx', graph, torch.randn(2, 3, 64, 96), (0, 2, 3), {})
    run = load_onnx(tmp_path / 'model.onnx', 1)
    for shape in ((2, 3, 96, 128), (1, 3, 75, 131)):
        images = torch.randn(shape)
        check(model, images, tuple(map(torch.from_numpy, run(images.numpy()))))
    for found in run(torch.zeros(1, 3, 64, 64).numpy()):
        assert found.shape[:2] == (1, model.roi_head.test_cfg.max_per_img)


@pytest.mark.filterwarnings('ignore')
def test_programs_may_find_less_than_two_boxes() -> None:
    """torchvision 0.26 says that its NMS keeps two or more, which torch.export would ask for."""

    class Suppress(nn.Module):
        def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
            likely = (scores > 0.5).nonzero().squeeze(1)
            kinds = torch.zeros_like(likely)
            cfg = Config(dict(iou_threshold=0.5))
            kept = _suppress(boxes[likely], scores[likely], kinds, kinds, cfg, (9, 9))
            return torch.full_like(scores, -1.0).scatter(0, likely, kept)

    boxes = torch.tensor([[0.0, 0, 4, 4], [5, 5, 9, 9], [0, 0, 4, 5]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    program = torch.export.export(Suppress(), (boxes, scores)).module()
    assert program(boxes, scores).tolist() == pytest.approx([0.9, 0.8, -1])
    assert program(boxes, scores - 0.35).tolist() == pytest.approx([0.55, -1, -1])
    assert program(boxes, scores - 0.5).tolist() == [-1, -1, -1]


def test_other_detectors_are_refused(build) -> None:
    with pytest.raises(UserError, match=r'Linear is not of their kind'):
        DetectorGraph(nn.Linear(1, 1))
    model = build(MASK)
    model.roi_head.test_cfg.nms = dict(type='soft_nms', iou_threshold=0.5)
    with pytest.raises(UserError, match=r"needs test_cfg with nms of type 'nms'\. Change"):
        DetectorGraph(model)
