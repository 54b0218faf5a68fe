"""Curves of a run in TensorBoard and MLflow, by the lines of docs/training.md."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import VISUALIZERS, DefaultScope
from tiny_runs import read_losses

REPO = Path(__file__).resolve().parents[2]
CONFIGS = (
    'uniformer-mini_1xb32_digits',
    'mask-rcnn_uniformer-mini-h_fpn_coco-digits',
    'uniformer-mini-g_fpn_ade20k-digits',
    'td-hm_uniformer-mini_coco-people',
    'uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb',
)


def line_of(kind: str) -> str:
    """What the page adds to a config for a tracker."""
    page = (REPO / 'docs/training.md').read_text()
    blocks = re.findall(r'^```python\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f"'{kind}VisBackend'" in block]
    return block.partition("_base_ = './CONFIG.py'\n")[2] or block


@pytest.fixture
def track(tmp_path, tiny_config, run_main, monkeypatch):
    """Train a tiny model with a tracker; returns the losses that are in the log."""

    def run(kind: str) -> dict[int, float]:
        config = tmp_path / 'tracked.py'
        config.write_text(f'_base_ = {str(tiny_config)!r}\n{line_of(kind)}\n')
        options = ('--cfg-options', 'train_dataloader.num_workers=0')
        monkeypatch.chdir(tmp_path)
        assert run_main('tools/train.py', config, '--work-dir', 'work', *options) == 0
        return read_losses(Path('work'))

    return run


def test_tensorboard(track) -> None:
    reading = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    losses = track('Tensorboard')
    (file,) = Path('work').glob('*/vis_data/events.*')
    found = reading.EventAccumulator(str(file)).Reload()
    scalars = {event.step: event.value for event in found.Scalars('loss')}
    assert scalars == pytest.approx(losses) and len(scalars) == 8
    assert len(found.Scalars('accuracy/top1')) == 2


def test_mlflow(track, monkeypatch) -> None:
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')  # as the page says
    losses = track('MLflow')
    client = mlflow.MlflowClient(Path('mlruns').absolute().as_uri())
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    scalars = {each.step: each.value for each in client.get_metric_history(run.info.run_id, 'loss')}
    assert scalars == pytest.approx(losses) and len(scalars) == 8
    assert run.data.params['model.backbone.drop_path_rate'] == '0.2'


@pytest.mark.parametrize(
    ('config', 'kind'),
    [
        *((config, 'Tensorboard') for config in CONFIGS),
        (CONFIGS[-1], 'MLflow'),
        (CONFIGS[-1], 'Wandb'),
    ],
)
def test_every_library_takes_the_line(config, kind, tmp_path) -> None:
    (tmp_path / 'tracked.py').write_text(
        f"_base_ = '{REPO}/configs/mini/{config}.py'\n{line_of(kind)}\n"
    )
    cfg = Config.fromfile(tmp_path / 'tracked.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        built = VISUALIZERS.build({**cfg.visualizer, 'name': kind, 'save_dir': str(tmp_path)})
    assert [*built._vis_backends] == ['LocalVisBackend', f'{kind}VisBackend']
