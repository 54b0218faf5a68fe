"""Print the losses of stock configs of the libraries: ``stock_losses.py with|without``.

``with`` imports uniformer_mm first, ``without`` never does.
"""

import copy
import json
import random
import sys
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmengine.utils import get_installed_path

if sys.argv[1] == 'with':
    import uniformer_mm  # noqa: F401
else:  # the wheel of mmaction2 1.2.0 lacks this module
    sys.modules['mmaction.models.localizers.drn.drn'] = SimpleNamespace(DRN=None)

SIZE = (96, 128)


def stock_config(scope: str, path: str) -> Config:
    return Config.fromfile(f'{get_installed_path(scope)}/.mim/configs/{path}')


def image(*leading: int) -> torch.Tensor:
    return torch.randint(0, 256, (*leading, *SIZE), dtype=torch.uint8)


def small_resnet(cfg: Config) -> None:
    cfg.model.pop('pretrained', None)
    cfg.model.backbone.update(depth=18, init_cfg=None)
    if 'neck' in cfg.model:
        cfg.model.neck.in_channels = [64, 128, 256, 512]


def mask_rcnn() -> tuple:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    cfg = stock_config('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')
    small_resnet(cfg)
    head = cfg.model.roi_head
    cfg.model.neck.out_channels = 32
    cfg.model.rpn_head.update(in_channels=32, feat_channels=32)
    for part in (head.bbox_roi_extractor, head.mask_roi_extractor):
        part.out_channels = 32
    head.bbox_head.update(in_channels=32, fc_out_channels=32)
    head.mask_head.update(in_channels=32, conv_out_channels=32)
    cfg.model.train_cfg.rcnn.sampler.num = 32
    masks = np.zeros((2, *SIZE), np.uint8)
    masks[0, 8:60, 10:70] = masks[1, 30:90, 50:120] = 1
    instances = InstanceData(
        bboxes=torch.tensor([[10.0, 8, 70, 60], [50, 30, 120, 90]]),
        labels=torch.tensor([3, 17]),
        masks=BitmapMasks(masks, *SIZE),
    )
    meta = dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0))
    return cfg, image(3), DetDataSample(gt_instances=instances, metainfo=meta)


def semantic_fpn() -> tuple:
    from mmseg.structures import SegDataSample

    cfg = stock_config('mmseg', 'sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py')
    small_resnet(cfg)
    cfg.model.data_preprocessor.size = SIZE
    label = PixelData(data=torch.randint(0, 150, (1, *SIZE)))
    return cfg, image(3), SegDataSample(gt_sem_seg=label, metainfo=dict(img_shape=SIZE))


def topdown_resnet() -> tuple:
    from mmpose.structures import PoseDataSample

    cfg = stock_config(
        'mmpose',
        'body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py',
    )
    small_resnet(cfg)
    cfg.model.head.in_channels = 512
    sample = PoseDataSample(
        gt_fields=PixelData(heatmaps=torch.rand(17, SIZE[0] // 4, SIZE[1] // 4)),
        gt_instance_labels=InstanceData(keypoint_weights=torch.ones(1, 17)),
        metainfo=dict(img_shape=SIZE, input_size=SIZE[::-1]),
    )
    return cfg, image(3), sample


def swin_3d() -> tuple:
    from mmaction.structures import ActionDataSample

    cfg = stock_config(
        'mmaction',
        'recognition/swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb.py',
    )
    arch = dict(embed_dims=24, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])
    cfg.model.backbone.update(arch=arch, pretrained=None, pretrained2d=False)
    cfg.model.cls_head.in_channels = 8 * 24
    return cfg, image(1, 3, 8), ActionDataSample().set_gt_label(7)


def losses(make_case) -> list[dict[str, float]]:
    """Every logged value of two steps on one batch."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    cfg, inputs, sample = make_case()
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
        cfg.optim_wrapper.update(type='OptimWrapper')
        cfg.optim_wrapper.pop('loss_scale', None)
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
        batch = dict(inputs=[inputs, inputs.flip(-2)], data_samples=[sample, sample])
        steps = [model.train_step(copy.deepcopy(batch), wrapper) for _ in range(2)]
    return [{name: float(value) for name, value in step.items()} for step in steps]


if __name__ == '__main__':
    MMLogger.get_instance('losses', log_level='ERROR')
    cases = (mask_rcnn, semantic_fpn, topdown_resnet, swin_3d)
    print(json.dumps({case.__name__: losses(case) for case in cases}))
