"""The mini video configs train, resume, and test many views."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from loss_recorder import LossRecorder
from mmaction.apis.inferencers import MMAction2Inferencer
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope, init_default_scope
from mmengine.runner import Runner
from paper_configs import CONFIGS
from small_runs import build

from uniformer_mm.registry import MODELS

KINETICS = CONFIGS / 'mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'
LIGHT = CONFIGS / 'mini/uniformer-light-mini_u16_1xb16_kinetics-digits-rgb.py'
DUAL = CONFIGS / 'mini/dualformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py'


@pytest.fixture
def make_runner(mini_data, classifier, tmp_path) -> Callable[..., Runner]:
    """Build a run of the mini Kinetics config on a few videos."""

    def make(name: str = 'work', options: dict[str, Any] | None = None) -> Runner:
        root = mini_data('kinetics', train=12, val=4)
        own = {
            'model.backbone.init_cfg.checkpoint': str(classifier),
            'train_dataloader.batch_size': 4,
            'train_cfg.max_epochs': 2,
            'param_scheduler.T_max': 2,
            'default_hooks.logger.interval': 1,
        }
        for split in ('train', 'val', 'test'):
            own[f'{split}_dataloader.num_workers'] = 0
            own[f'{split}_dataloader.dataset.data_root'] = str(root)
        return build(KINETICS, own | (options or {}), tmp_path / name)

    return make


def losses_of(runner: Runner) -> list[float]:
    runner.register_hook(LossRecorder())
    runner.train()
    return json.loads((Path(runner.work_dir) / 'losses_0.json').read_text())


@pytest.mark.slow
def test_a_resumed_run_has_the_losses_of_one_that_went_on(make_runner, classifier) -> None:
    runner = make_runner('whole')
    losses = losses_of(runner)
    assert len(losses) == 6
    image = torch.load(classifier)['state_dict']['backbone.blocks1.0.pos_embed.weight']
    clip = runner.model.backbone.blocks1[0].pos_embed.weight
    torch.testing.assert_close(clip.sum(2), image, atol=0.02, rtol=0.1)

    checkpoint = Path(runner.work_dir) / 'epoch_1.pth'
    resumed = make_runner('resumed', {'resume': True, 'load_from': str(checkpoint)})
    assert losses_of(resumed) == losses[3:]
    assert {'acc/top1', 'acc/top5', 'acc/mean1'} <= resumed.test().keys()


VIEWS = {'4x1': (4, 'CenterCrop'), '1x3': (1, 'ThreeCrop'), '5x3': (5, 'ThreeCrop')}


@pytest.fixture(scope='module', params=[KINETICS, LIGHT, DUAL], ids=['dense', 'light', 'dual'])
def recognizer(request, tmp_path_factory) -> Path:
    """A config without initial weights, and a checkpoint of random ones."""
    folder = tmp_path_factory.mktemp('recognizer')
    torch.manual_seed(0)
    cfg = Config.fromfile(request.param)
    cfg.model.backbone.init_cfg = None
    cfg.dump(folder / 'recognizer.py')
    with DefaultScope.overwrite_default_scope('mmaction'):
        state = MODELS.build(cfg.model).state_dict()
    state['cls_head.fc_cls.weight'] *= 50  # no two classes alike
    torch.save(dict(state_dict=state, meta={}), folder / 'recognizer.pth')
    return folder


def load(
    folder: Path, root: Path, views: tuple[int, str] | None = None
) -> tuple[Config, torch.nn.Module, dict]:
    """The config with these views or its own, its model in eval mode, and a collated sample."""
    cfg = Config.fromfile(folder / 'recognizer.py')
    init_default_scope('mmaction')
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = str(root)
    if views:
        _, sampling, _, _, crop, *_ = dataset.pipeline
        sampling.num_clips, crop.type = views
    model = MODELS.build(cfg.model)
    model.load_state_dict(torch.load(folder / 'recognizer.pth')['state_dict'])
    sample = DATASETS.build(dataset)[2]
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    return cfg, model.eval(), batch


@pytest.mark.parametrize('views', VIEWS.values(), ids=VIEWS)
def test_views_are_averaged(views, recognizer, mini_data) -> None:
    """As logits, or as probabilities by DualFormer's recipe."""
    root = mini_data('kinetics', train=12, val=4)
    cfg, model, batch = load(recognizer, root, views)
    count = views[0] * (3 if views[1] == 'ThreeCrop' else 1)
    _, sampling, _, _, crop, *_ = cfg.test_dataloader.dataset.pipeline
    side = crop.crop_size
    assert batch['inputs'][0].shape == (count, 3, sampling.clip_len, side, side)
    with torch.no_grad():
        (sample,) = model.test_step(batch)
        normalize = model.data_preprocessor
        clips = (batch['inputs'][0] - normalize.mean) / normalize.std
        scores = torch.cat([model.cls_head(model.backbone(clip[None])) for clip in clips])
    shares = scores.mean(0).softmax(0)
    if model.cls_head.average_clips == 'prob':
        shares = scores.softmax(1).mean(0)
    torch.testing.assert_close(sample.pred_score, shares, rtol=1e-4, atol=1e-4)
    assert sample.pred_label == shares.argmax()


def test_mmactions_inferencer(recognizer, mini_data) -> None:
    """It decodes with decord, leaves the clips of the test and crops the center."""
    root = mini_data('kinetics', train=12, val=4)
    _, model, batch = load(recognizer, root)
    with torch.no_grad():
        (expected,) = model.test_step(batch)
    inferencer = MMAction2Inferencer(
        str(recognizer / 'recognizer.py'),
        str(recognizer / 'recognizer.pth'),
        device='cpu',
        label_file=str(root / 'label_map.txt'),
    )
    inferencer.show_progress = inferencer.actionrecog_inferencer.show_progress = False
    result = inferencer(str(root / 'videos_val/0002.mp4'))['predictions'][0]
    (scores,) = result['rec_scores']
    assert scores == pytest.approx(expected.pred_score.tolist(), abs=1e-4)
    assert sum(scores) == pytest.approx(1, abs=1e-4), 'probabilities'
    assert result['rec_labels'] == [[int(expected.pred_label)]]
