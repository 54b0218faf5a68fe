"""The mini configs are the paper's pipelines, smaller, and run on the made data."""

from pathlib import Path

import pytest
import torch
from mini_run import build, changed
from mmdet.registry import MODELS
from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MINI = CONFIGS / 'mini/uniformer-mini_1xb32_digits.py'
DETECTORS = {
    'mask-rcnn': (
        CONFIGS / 'mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py',
        CONFIGS / 'coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py',
    ),
    'cascade-mask-rcnn': (
        CONFIGS / 'mini/cascade-mask-rcnn_uniformer-mini-h_fpn_coco-digits.py',
        CONFIGS
        / 'coco_det/cascade-mask-rcnn_uniformer-s-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py',
    ),
}


def test_steps_of_the_paper_are_all_there() -> None:
    paper = Config.fromfile(CONFIGS / 'imagenet/uniformer-small_8xb128_in1k.py')
    mini = Config.fromfile(MINI)

    def kinds(cfg: Config, loader: str) -> list[str]:
        return [step.type for step in cfg[loader].dataset.pipeline]

    assert kinds(mini, 'val_dataloader') == kinds(paper, 'val_dataloader')
    assert [kind for kind in kinds(paper, 'train_dataloader') if kind != 'RandomFlip'] == kinds(
        mini, 'train_dataloader'
    )
    for part in ('backbone', 'neck', 'head'):
        assert mini.model[part].type == paper.model[part].type
    assert mini.model.head.loss == paper.model.head.loss
    assert mini.model.train_cfg.augments == paper.model.train_cfg.augments
    assert mini.train_dataloader.sampler.type == paper.train_dataloader.sampler.type
    assert mini.optim_wrapper.paramwise_cfg == paper.optim_wrapper.paramwise_cfg
    assert mini.param_scheduler.type == paper.param_scheduler.type
    assert mini.custom_hooks[0].type == paper.custom_hooks[0].type
    assert mini.param_scheduler.T_max == mini.train_cfg.max_epochs


def test_trains_and_tests(mini_data, tmp_path) -> None:
    root = mini_data('imagenet', train=64, val=20)
    options = {'train_cfg.max_epochs': 2, 'train_dataloader.num_workers': 0}
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = str(root)
        options[f'{split}_dataloader.num_workers'] = 0
    runner = build(MINI, options, tmp_path)
    runner.train()
    assert runner.iter == 4
    assert runner.train_dataloader.dataset.metainfo['classes'] == tuple('0123456789')
    assert sum(p.numel() for p in runner.model.parameters()) == 1_868_298
    metrics = runner.test()
    assert set(metrics) == {'accuracy/top1', 'accuracy/top5'}
    assert (tmp_path / 'epoch_2.pth').is_file()


@pytest.mark.parametrize(('mini', 'paper'), DETECTORS.values(), ids=DETECTORS)
def test_detectors_are_the_papers(mini, paper) -> None:
    mini, paper = Config.fromfile(mini), Config.fromfile(paper)
    is_cascade = mini.model.type == 'CascadeRCNN'
    sizes = {
        *(f'backbone.{key}' for key in ('depths', 'embed_dims', 'head_dim', 'window_size')),
        *('backbone.drop_path_rate', 'backbone.with_cp', 'backbone.init_cfg.checkpoint'),
        *('neck.in_channels', 'neck.out_channels'),
        *('rpn_head.in_channels', 'rpn_head.feat_channels', 'rpn_head.anchor_generator.scales'),
        *(f'roi_head.{branch}_roi_extractor.out_channels' for branch in ('bbox', 'mask')),
        *(f'roi_head.{branch}_roi_extractor.finest_scale' for branch in ('bbox', 'mask')),
        *(f'roi_head.bbox_head.{key}' for key in ('in_channels', 'fc_out_channels', 'num_classes')),
        *(f'roi_head.mask_head.{k}' for k in ('in_channels', 'conv_out_channels', 'num_classes')),
        *(['roi_head.bbox_head.conv_out_channels'] if is_cascade else []),
        *('train_cfg.rpn.sampler.num', 'train_cfg.rcnn.sampler.num'),
        *('train_cfg.rpn_proposal.nms_pre', 'train_cfg.rpn_proposal.max_per_img'),
        *('test_cfg.rpn.nms_pre', 'test_cfg.rpn.max_per_img', 'test_cfg.rcnn.max_per_img'),
    }
    assert changed(mini, paper, 'model') == sizes
    assert changed(mini, paper, 'optim_wrapper') == {'type', 'loss_scale', 'optimizer.lr'}
    assert [s.type for s in mini.param_scheduler] == [s.type for s in paper.param_scheduler]
    assert mini.param_scheduler[1].end == mini.train_cfg.max_epochs

    def kinds(cfg: Config, loader: str) -> list[str]:
        steps = [step.type for step in cfg[loader].dataset.pipeline]
        return [step for step in steps if step != 'RandomFlip']

    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert kinds(mini, loader) == kinds(paper, loader)
        assert mini[loader].dataset.type == paper[loader].dataset.type
        assert mini[loader].dataset.ann_file == paper[loader].dataset.ann_file
    assert mini.test_evaluator.metric == paper.test_evaluator.metric == ['bbox', 'segm']


def test_windows_matter_on_the_mini_maps() -> None:
    """The stage-3 map of an image is larger than a window and no multiple of it."""
    backbone = Config.fromfile(DETECTORS['mask-rcnn'][0]).model.backbone
    model = MODELS.build({**backbone, 'init_cfg': None})
    image = torch.rand(1, 3, 128, 160)
    maps = model(image)
    assert maps[2].shape[2:] == (8, 10)
    assert model.blocks3[0].window_size == 4
    assert [block.window_size for block in model.blocks3] == [4, 4, 4, 0]
    model.set_stage3_style('global')
    assert not torch.allclose(model(image)[2], maps[2], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('name', DETECTORS)
def test_detectors_train_and_test(name, mini_data, classifier, tmp_path) -> None:
    root = mini_data('coco', train=4, val=3)
    options = {
        'model.backbone.init_cfg.checkpoint': str(classifier),
        'model.test_cfg.rcnn.score_thr': 0.0,
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1,
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.data_root'] = str(root)
    for split in ('val', 'test'):
        ann_file = root / 'annotations/instances_val2017.json'
        options[f'{split}_evaluator.ann_file'] = str(ann_file)
    runner = build(DETECTORS[name][0], options, tmp_path)
    runner.train()
    assert runner.iter in (2, 3)  # two orientations, batches of one
    assert (tmp_path / 'epoch_1.pth').is_file()
    start = torch.load(classifier)['state_dict']['backbone.blocks3.0.attn.qkv.weight']
    trained = runner.model.backbone.blocks3[0].attn.qkv.weight
    assert torch.allclose(trained, start, atol=0.01)
    assert not torch.equal(trained, start)
    metrics = runner.test()
    assert {'coco/bbox_mAP_50', 'coco/segm_mAP_50'} <= set(metrics)


SEGMENTORS = {
    'fpn': 'uniformer-s-g_fpn_8xb4-80k_ade20k-512x512',
    'upernet': 'uniformer-s-g_upernet_8xb2-160k_ade20k-512x512',
}


def segmentor(name: str) -> Path:
    return CONFIGS / f'mini/uniformer-mini-g_{name}_ade20k-digits.py'


@pytest.mark.parametrize('name', SEGMENTORS)
def test_segmentors_are_the_papers(name) -> None:
    mini = Config.fromfile(segmentor(name))
    paper = Config.fromfile(CONFIGS / f'ade20k/{SEGMENTORS[name]}.py')
    backbone = ('depths', 'embed_dims', 'head_dim', 'drop_path_rate', 'init_cfg.checkpoint')
    sizes = {
        *(f'backbone.{key}' for key in backbone),
        'data_preprocessor.size',
        *('decode_head.in_channels', 'decode_head.channels'),
        *(
            ('neck.in_channels', 'neck.out_channels')
            if name == 'fpn'
            else ('auxiliary_head.in_channels', 'auxiliary_head.channels')
        ),
    }
    assert changed(mini, paper, 'model') == sizes
    slower = {'paramwise_cfg.custom_keys.backbone.lr_mult'} if name == 'fpn' else set()
    assert changed(mini, paper, 'optim_wrapper') == {'optimizer.lr', *slower}
    assert changed(mini, paper, 'train_cfg') == {'max_iters', 'val_interval'}
    assert [s.type for s in mini.param_scheduler] == [s.type for s in paper.param_scheduler]
    assert mini.param_scheduler[1].end - mini.train_cfg.max_iters == (name == 'upernet')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        steps = [step.type for step in paper[loader].dataset.pipeline if step.type != 'RandomFlip']
        assert [step.type for step in mini[loader].dataset.pipeline] == steps
        assert mini[loader].dataset.data_prefix == paper[loader].dataset.data_prefix
        assert mini[loader].dataset.reduce_zero_label
        assert len(mini[loader].dataset.metainfo.classes) == 150
        assert len(mini[loader].dataset.metainfo.palette) == 150
    augment, paper_augment = (cfg.tta_pipeline[1].transforms for cfg in (mini, paper))
    assert len(augment[0]) == len(paper_augment[0]) == 6
    assert augment[1:] == paper_augment[1:]
    assert mini.test_evaluator == paper.test_evaluator


@pytest.mark.slow
@pytest.mark.parametrize('name', SEGMENTORS)
def test_segmentors_train_and_test(name, mini_data, classifier, tmp_path) -> None:
    root = mini_data('ade', train=6, val=3)
    options = {
        'model.backbone.init_cfg.checkpoint': str(classifier),
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        'train_dataloader.batch_size': 2,
        'default_hooks.checkpoint.interval': 2,
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.data_root'] = str(root)
    runner = build(segmentor(name), options, tmp_path)
    runner.train()
    assert (tmp_path / 'iter_2.pth').is_file()
    assert {'aAcc', 'mIoU', 'mAcc'} <= set(runner.test())
    # The same weights, in windows smaller than the map.
    image = torch.rand(1, 3, 96, 128)
    runner.model.eval()
    outputs = []
    for style in ('global', 'hybrid'):
        runner.model.backbone.set_stage3_style(style, 4)
        outputs.append(runner.model(image, mode='tensor'))
    assert outputs[0].shape == outputs[1].shape == (1, 150, 24, 32)
    assert not torch.allclose(*outputs, atol=1e-5)


POSE = CONFIGS / 'mini/td-hm_uniformer-mini_coco-people.py'


def test_pose_estimator_is_the_papers() -> None:
    mini = Config.fromfile(POSE)
    paper = Config.fromfile(CONFIGS / 'coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192.py')
    assert changed(mini, paper, 'model') == {
        *(f'backbone.{key}' for key in ('depths', 'embed_dims', 'head_dim', 'drop_path_rate')),
        *('backbone.init_cfg.checkpoint', 'head.in_channels', 'head.deconv_out_channels'),
        *(f'head.decoder.{key}' for key in ('input_size', 'heatmap_size', 'sigma')),
    }
    assert changed(mini, paper, 'optim_wrapper') == {'type', 'loss_scale'}
    assert [s.type for s in mini.param_scheduler] == [s.type for s in paper.param_scheduler]
    assert mini.param_scheduler[1].end == mini.train_cfg.max_epochs
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        ours, theirs = mini[loader].dataset, paper[loader].dataset
        assert [step.type for step in ours.pipeline] == [step.type for step in theirs.pipeline]
        assert (ours.type, ours.ann_file) == (theirs.type, theirs.ann_file)
    assert mini.test_dataloader.dataset.bbox_file.endswith(
        paper.test_dataloader.dataset.bbox_file.removeprefix('data/coco')
    )


@pytest.mark.slow
def test_pose_estimator_trains_and_tests(mini_data, classifier, tmp_path) -> None:
    root = mini_data('pose', train=6, val=4)
    options = {
        'model.backbone.init_cfg.checkpoint': str(classifier),
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'train_dataloader.batch_size': 4,
    }
    (boxes,) = (root / 'person_detection_results').iterdir()
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.data_root'] = str(root)
    for split in ('val', 'test'):
        ann_file = root / 'annotations/person_keypoints_val2017.json'
        options[f'{split}_evaluator.ann_file'] = str(ann_file)
        options[f'{split}_dataloader.dataset.bbox_file'] = str(boxes)
    runner = build(POSE, options, tmp_path)
    runner.train()
    assert (tmp_path / 'epoch_1.pth').is_file()
    start = torch.load(classifier)['state_dict']['backbone.blocks3.0.attn.qkv.weight']
    trained = runner.model.backbone.blocks3[0].attn.qkv.weight
    assert torch.allclose(trained, start, atol=0.01)
    assert not torch.equal(trained, start)
    assert 0 <= runner.test()['coco/AP'] <= 1
