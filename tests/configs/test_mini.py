"""The mini classifier is the paper's pipeline, smaller, and runs on the made data."""

import importlib.util
from pathlib import Path

import pytest
from mmengine.config import Config

from uniformer_mm import launch

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MINI = CONFIGS / 'mini/uniformer-mini_1xb32_digits.py'


@pytest.fixture(scope='module')
def mini_data(repo_root, tmp_path_factory) -> Path:
    spec = importlib.util.spec_from_file_location(
        'make_mini', repo_root / 'tools/data/make_mini.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.NUM_IMAGES = dict(train=64, val=20)
    return module.make('imagenet', tmp_path_factory.mktemp('mini'))


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


def test_trains_and_tests(mini_data: Path, tmp_path: Path) -> None:
    options = {'train_cfg.max_epochs': 2, 'train_dataloader.num_workers': 0}
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = str(mini_data)
        options[f'{split}_dataloader.num_workers'] = 0
    cfg, notes = launch.load_config(str(MINI), options)
    launch.set_work_dir(cfg, str(MINI), str(tmp_path))
    launch.set_loaders(cfg, ('train', 'val', 'test'))
    launch.set_hooks(cfg, training=True)
    runner = launch.build_runner(cfg, notes)
    runner.train()
    assert runner.iter == 4
    assert runner.train_dataloader.dataset.metainfo['classes'] == tuple('0123456789')
    assert sum(p.numel() for p in runner.model.parameters()) == 1_868_298
    metrics = runner.test()
    assert set(metrics) == {'accuracy/top1', 'accuracy/top5'}
    assert (tmp_path / 'epoch_2.pth').is_file()
