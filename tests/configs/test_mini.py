"""The mini configs are the paper's pipelines, smaller, and run on the made data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from paper_configs import CONFIGS, leaves, read_config, slow_unless
from paper_configs import build as build_module
from small_data import make_label_maps
from small_runs import build, changed

# For each the paper's config, and what the model and the optimizer have otherwise than there.
CHANGES = json.loads((Path(__file__).parents[1] / 'data/mini_changes.json').read_text())
CLASSIFIER = 'uniformer-mini_1xb32_digits'
TOKEN_LABEL = 'uniformer-mini_token-label_1xb32_digits'
CLASSIFIERS = (CLASSIFIER, TOKEN_LABEL, 'uniformer-light-mini_1xb32_digits')
FLIPS = ('RandomFlip', 'uniformer_mm.ContiguousFlip', 'Flip', 'uniformer_mm.TokenLabelFlip')
MASK_RCNN = 'mask-rcnn_uniformer-mini-h_fpn_coco-digits'
LIGHT_MASK_RCNN = 'mask-rcnn_uniformer-light-mini_fpn_coco-digits'
POSE = 'td-hm_uniformer-mini_coco-people'
SOMETHING = 'uniformer-mini_u16_1xb8_sthv2-digits-rgb'
LIGHT_VIDEO = 'uniformer-light-mini_u16_1xb16_kinetics-digits-rgb'
DUAL_VIDEO = 'dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb'
FROM_SCRATCH = (*CLASSIFIERS, DUAL_VIDEO)
FPN, UPERNET = (f'uniformer-mini-g_{head}_ade20k-digits' for head in ('fpn', 'upernet'))
# Arguments of a step that follow from the size.
SIZES = {
    *('scale', 'scales', 'crop_size', 'area_range', 'clip_len', 'frame_interval'),
    *('transforms', 'input_size', 'encoder'),
}


def test_every_mini_config_is_compared() -> None:
    assert {path.stem for path in leaves('mini')} == set(CHANGES)


@pytest.mark.parametrize('name', CHANGES)
def test_only_data_size_and_schedule_differ(name) -> None:
    change = CHANGES[name]
    mini, paper = read_config(f'mini/{name}'), read_config(change['paper'])
    assert sorted(changed(mini, paper, 'model')) == change['model']
    assert sorted(changed(mini, paper, 'optim_wrapper')) == change['optim_wrapper']
    ours, theirs = (
        [scheduler.type for scheduler in schedulers]
        for schedulers in (as_list(mini.param_scheduler), as_list(paper.param_scheduler))
    )
    assert ours == theirs
    last = as_list(mini.param_scheduler)[-1]
    end = last.T_max if 'T_max' in last else last.end
    length = mini.train_cfg.get('max_epochs') or mini.train_cfg.max_iters
    assert end == length + (last.type == 'PolyLR')  # which reaches its end one iteration early
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        ours, theirs = mini[loader].dataset, paper[loader].dataset
        steps = [step.type for step in theirs.pipeline if step.type not in FLIPS]
        found = [step.type for step in ours.pipeline]
        assert [step for step in found if step != 'RandomFlip'] == steps
        assert ours.get('ann_file') == theirs.get('ann_file') or name in CLASSIFIERS
        assert mini[loader].sampler.type == paper[loader].sampler.type
    assert mini.test_evaluator.get('metric') == paper.test_evaluator.get('metric')


def as_list(node: Any) -> list:
    return node if isinstance(node, list) else [node]


@pytest.mark.parametrize('name', [FPN, UPERNET])
def test_views_of_the_segmentors_are_the_papers(name) -> None:
    mini, paper = read_config(f'mini/{name}'), read_config(CHANGES[name]['paper'])
    ours, theirs = (cfg.tta_pipeline[1].transforms for cfg in (mini, paper))
    assert len(ours[0]) == len(theirs[0]) == 6
    assert ours[1:] == theirs[1:]
    for loader in (mini.train_dataloader, mini.val_dataloader):
        assert loader.dataset.reduce_zero_label
        assert len(loader.dataset.metainfo.classes) == len(loader.dataset.metainfo.palette) == 150


@pytest.mark.parametrize('name', [n for n in CHANGES if n.endswith('-rgb')])
def test_steps_of_the_video_networks_are_the_papers(name) -> None:
    """But for sizes and for the flip, since a mirrored clip is of another class."""
    mini, paper = read_config(f'mini/{name}'), read_config(CHANGES[name]['paper'])
    for split in ('train', 'val', 'test'):
        ours, theirs = (cfg[f'{split}_dataloader'].dataset for cfg in (mini, paper))
        steps = [
            [{k: v for k, v in step.items() if k not in SIZES} for step in dataset.pipeline]
            for dataset in (ours, theirs)
        ]
        assert steps[0] == [step for step in steps[1] if step['type'] != 'Flip']
        assert {**ours, 'pipeline': 0, 'data_root': 0} == {**theirs, 'pipeline': 0, 'data_root': 0}


def test_windows_matter_on_the_mini_maps() -> None:
    """The stage-3 map of an image is larger than a window and no multiple of it."""
    backbone = read_config(f'mini/{MASK_RCNN}').model.backbone
    model = build_module({**backbone, 'init_cfg': None}, 'mmdet')
    image = torch.rand(1, 3, 128, 160)
    maps = model(image)
    assert maps[2].shape[2:] == (8, 10)
    assert [block.window_size for block in model.blocks3] == [4, 4, 4, 0]
    model.set_stage3_style('global')
    assert not torch.allclose(model(image)[2], maps[2], atol=1e-4)


EPOCH = {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1}
ITERATIONS = {
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'default_hooks.checkpoint.interval': 2,
}
BOXES = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
# Data set and its numbers of samples, batch, options, and what a test gives.
RUNS = {
    **{
        name: ('imagenet', (64, 20), 32, EPOCH, {'accuracy/top1', 'accuracy/top5'})
        for name in CLASSIFIERS
    },
    **{
        name: (
            'coco',
            (4, 3),
            2,
            {**EPOCH, 'model.test_cfg.rcnn.score_thr': 0.0},
            {'coco/bbox_mAP_50', 'coco/segm_mAP_50'},
        )
        for name in (MASK_RCNN, LIGHT_MASK_RCNN, f'cascade-{MASK_RCNN}')
    },
    **{name: ('ade', (6, 3), 2, ITERATIONS, {'aAcc', 'mIoU', 'mAcc'}) for name in (FPN, UPERNET)},
    POSE: ('pose', (6, 4), 4, EPOCH, {'coco/AP'}),
    SOMETHING: ('something', (8, 4), 4, EPOCH, {'acc/top1'}),
    LIGHT_VIDEO: ('kinetics', (8, 4), 4, EPOCH, {'acc/top1'}),  # the other: see test_mini_video
    DUAL_VIDEO: ('kinetics', (8, 4), 4, EPOCH, {'acc/top1'}),
}


@pytest.mark.parametrize('name', slow_unless({CLASSIFIER}, RUNS))
def test_trains_and_tests(name, mini_data, classifier, light_classifier, tmp_path) -> None:
    data, (train, val), batch, options, metrics = RUNS[name]
    root = mini_data(data, train=train, val=val)
    options = {**options, 'train_dataloader.batch_size': batch}
    annotations = {'coco': 'instances', 'pose': 'person_keypoints'}.get(data)
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.num_workers'] = 0
        options[f'{split}_dataloader.dataset.data_root'] = str(root)
        if annotations and split != 'train':
            file = root / f'annotations/{annotations}_val2017.json'
            options[f'{split}_evaluator.ann_file'] = str(file)
        if data == 'pose' and split != 'train':
            options[f'{split}_dataloader.dataset.bbox_file'] = str(root / BOXES)
    if name == TOKEN_LABEL:
        make_label_maps(root / 'train', tmp_path / 'labels', num_classes=10)
        options['train_dataloader.dataset.label_root'] = str(tmp_path / 'labels')
    if name not in FROM_SCRATCH:
        weights = light_classifier if 'light' in name else classifier
        options['model.backbone.init_cfg.checkpoint'] = str(weights)
    runner = build(CONFIGS / f'mini/{name}.py', options, tmp_path)
    runner.train()
    assert list(tmp_path.glob('*_[12].pth'))
    if name not in FROM_SCRATCH:
        key = 'blocks3.0.attn.qkv.weight'
        start = torch.load(weights)['state_dict'][f'backbone.{key}']
        trained = runner.model.backbone.get_parameter(key)
        assert torch.allclose(trained, start, atol=0.01)
        assert not torch.equal(trained, start)
    assert metrics <= runner.test().keys()


@pytest.mark.parametrize('name', [FPN, UPERNET])
def test_one_segmentor_tests_in_every_style(name) -> None:
    """The same weights, in windows smaller than the map."""
    cfg = read_config(f'mini/{name}')
    cfg.model.backbone.init_cfg = None
    model = build_module(cfg.model, 'mmseg').eval()
    image, outputs = torch.rand(1, 3, 96, 128), []
    for style in ('global', 'hybrid'):
        model.backbone.set_stage3_style(style, 4)
        outputs.append(model(image, mode='tensor'))
    assert outputs[0].shape == outputs[1].shape == (1, 150, 24, 32)
    assert not torch.allclose(*outputs, atol=1e-5)
