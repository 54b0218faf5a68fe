"""What the ADE20K configs build, and that they train and test; what they say is a recipe."""

import copy
import math
from pathlib import Path

import pytest
import torch
from golden import assert_matches
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner
from paper_configs import (
    build,
    built_model,
    check_gradients,
    check_training,
    learning_rates,
    leaves,
    norms_of_backbone,
    read_config,
    slow_unless,
    stock_config,
    weight_decay,
)
from seeded_weights import seeded_input, seeded_state_dict
from small_data import make_ade
from small_runs import make_runner, shrink, shrink_model, use_data

from uniformer_mm import cli

pytest.importorskip('mmseg')

LEAVES = leaves('ade20k')
FPN, UPERNET = 'fpn_8xb4-80k_ade20k-512x512', 'upernet_8xb2-160k_ade20k-512x512'
S_FPN, S_UPERNET = f'ade20k/uniformer-s-g_{FPN}', f'ade20k/uniformer-s-g_{UPERNET}'


@pytest.mark.parametrize(
    'path', [path for path in LEAVES if '32_' in path.stem], ids=lambda path: path.stem
)
def test_a_row_of_windows_of_32_is_a_test_of_the_global_model(path) -> None:
    row = read_config(path).to_dict()
    trained = read_config(path.with_name(path.name.replace('-h32', '-g').replace('-w32', '-g')))
    style = row['model']['backbone'].pop('eval_stage3_style')
    assert row['model']['backbone'].pop('eval_window_size') == 32
    assert row == trained.to_dict()

    model = copy.deepcopy(built_model(path).backbone)
    depth = len(model.blocks3)
    windows = {'window': [32] * depth, 'hybrid': [32, 32, 32, 0] * (depth // 4)}[style]
    for mode, expected in ((True, [0] * depth), (False, windows)):
        model.train(mode)
        assert [block.window_size for block in model.blocks3] == expected


GOLDEN = {
    'small_hybrid14_128x192': f'ade20k/uniformer-s-h14_{FPN}',
    'small_hybrid14_batch2_320x464': f'ade20k/uniformer-s-h14_{FPN}',  # 2 x 3 windows, padded
    'small_global_odd_150x203': S_UPERNET,
    'small_window32_256x320': f'ade20k/uniformer-s-w32_{UPERNET}',
}


@pytest.mark.parametrize('case', slow_unless({'small_global_odd_150x203'}, GOLDEN))
@torch.no_grad()
def test_backbones_equal_the_original_ones(case, golden_dense) -> None:
    golden = next(c for c in golden_dense['cases'] if c['name'] == case)
    cfg = read_config(GOLDEN[case]).model.backbone
    model = build({**cfg, 'init_cfg': None}, 'mmseg').double().eval()
    model.load_state_dict(seeded_state_dict(golden_dense['maps'][golden['map']]), strict=True)
    outputs = model(seeded_input(golden['input_shape'], golden['input_seed']))
    for i, (output, expected) in enumerate(zip(outputs, golden['outputs'], strict=True)):
        assert_matches(output, expected, f'{case} stage {i}')


def test_the_base_is_stock_mmseg() -> None:
    """Our UperNet is mmseg's for Swin but for the backbone, so that its files are its files."""
    ours = read_config(S_UPERNET).model.to_dict()
    swin = 'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
    stock = stock_config('mmseg', swin).model.to_dict()
    for model in (ours, stock):
        model.pop('backbone')
        for head in ('decode_head', 'auxiliary_head'):
            model[head].pop('in_channels')
    assert ours == stock


def test_padding_comes_after_normalising_and_only_in_training() -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    preprocessor = build(read_config(S_FPN).model.data_preprocessor, 'mmseg')
    image = torch.full((3, 33, 40), 128, dtype=torch.uint8)
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, 33, 40, dtype=torch.long)))
    batch = dict(inputs=[image], data_samples=[sample])
    assert preprocessor(batch, training=False)['inputs'].shape == (1, 3, 33, 40)
    padded = preprocessor(batch, training=True)
    assert padded['inputs'].shape == (1, 3, 512, 512)
    assert padded['inputs'][0, 0, 0, 0].item() == pytest.approx((128 - 123.675) / 58.395, rel=1e-5)
    assert not padded['inputs'][..., 33:, :].any()
    label = padded['data_samples'][0].gt_sem_seg.data
    assert label.shape == (1, 512, 512)
    assert set(label[0, :33, :40].unique().tolist()) == {0}
    assert set(label[0, 33:].unique().tolist()) == set(label[0, :, 40:].unique().tolist()) == {255}


@pytest.mark.parametrize(
    ('name', 'num_free', 'full'),
    [
        (S_FPN, 0, 1e-4),
        pytest.param(S_FPN.replace('-s-', '-b-'), 0, 1e-4, marks=pytest.mark.slow),
        (S_UPERNET, 88, 0.01),
        pytest.param(S_UPERNET.replace('-s-', '-b-'), 176, 0.01, marks=pytest.mark.slow),
    ],
)
def test_weight_decay_of_every_parameter(name, num_free, full) -> None:
    """UperNet: all norms of the backbone are free, and nothing in the heads. FPN: nothing is."""
    model = built_model(name)
    decay = weight_decay(model, read_config(name))
    free = {key for key, value in decay.items() if value == 0}
    assert set(decay.values()) - {0} == {full}
    assert free == (norms_of_backbone(model) if num_free else set())
    assert len(free) == num_free


@pytest.mark.parametrize(
    'length', [3000, pytest.param(None, marks=pytest.mark.slow)], ids=['start', 'whole']
)
@pytest.mark.parametrize('name', [S_FPN, S_UPERNET], ids=['fpn', 'upernet'])
def test_schedule(name, length) -> None:
    """mmcv 1.x: the warm-up scales a schedule that runs from the first iteration."""
    cfg = read_config(name)
    base, total = cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_iters
    warmup, ratio = (1000, 0.1) if name == S_FPN else (1500, 1e-6)

    def expected(i: int) -> float:
        if name == S_FPN:
            end = base * 1e-8
            regular = end + (base - end) * 0.5 * (1 + math.cos(math.pi * i / total))
        else:
            regular = base * (1 - i / total)
        return regular * (1 - (1 - i / warmup) * (1 - ratio)) if i < warmup else regular

    rates = learning_rates(cfg, length or total)
    # 160,000 multiplications, one after the other, carry some rounding with them.
    tolerance = dict(rel=1e-9) if length else dict(rel=1e-6, abs=1e-15)
    assert rates == pytest.approx([expected(i) for i in range(len(rates))], **tolerance)


H_FPN, B_UPERNET = S_FPN.replace('-g_', '-h14_'), S_UPERNET.replace('-s-', '-b-')


@pytest.mark.parametrize('name', slow_unless({Path(H_FPN).stem}, [H_FPN, S_UPERNET, B_UPERNET]))
def test_gradients_reach_every_parameter(name) -> None:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    cfg = read_config(name)
    shrink(cfg)
    cfg.model.backbone.drop_path_rate = 0.0
    images = [torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8) for _ in range(2)]
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, 64, 96))),
            metainfo=dict(img_shape=(64, 96)),
        )
        for _ in range(2)
    ]
    model = revert_sync_batchnorm(build(cfg.model, 'mmseg'))
    check_gradients(model, dict(inputs=images, data_samples=samples))


@pytest.fixture(scope='module')
def ade(tmp_path_factory) -> Path:
    return make_ade(tmp_path_factory.mktemp('ade') / 'data')


# The others differ from these in depth and in the attention of stage 3 only.
FULL_SIZE = {f'uniformer-s-h32_{FPN}', f'uniformer-b-g_{UPERNET}'}


def make_small_runner(path: Path | str, data: Path, work_dir: Path, tta: bool = False) -> Runner:
    cfg = read_config(path)
    use_data(cfg, data)
    shrink(cfg)
    if Path(path).stem not in FULL_SIZE:
        shrink_model(cfg)
    if tta:
        cli.set_tta(cfg)
    return make_runner(cfg, work_dir)


@pytest.mark.parametrize('path', slow_unless({f'uniformer-s-h32_{FPN}'}, LEAVES))
def test_trains_and_tests(path: Path, ade: Path, tmp_path: Path) -> None:
    """Two steps through the whole recipe at an eighth of the size, most with few channels."""
    runner = make_small_runner(path, ade, tmp_path)
    check_training(runner, steps=2)
    assert {'aAcc', 'mIoU', 'mAcc'} <= runner.test().keys()


@pytest.mark.slow
@pytest.mark.parametrize('name', [S_FPN, S_UPERNET], ids=['fpn', 'upernet'])
def test_multi_scale_test_at_work(name, ade: Path, tmp_path: Path) -> None:
    """The mean of the softmax over twelve views, at the size of the image."""
    runner = make_small_runner(name, ade, tmp_path, tta=True)
    data = next(iter(runner.test_dataloader))
    assert [len(views) for views in (data['inputs'], data['data_samples'])] == [12, 12]
    model = runner.model.eval()
    merged = model.test_step(data)[0]
    views = [
        model.module.test_step(dict(inputs=x, data_samples=s))[0].seg_logits.data.softmax(0)
        for x, s in zip(data['inputs'], data['data_samples'], strict=True)
    ]
    assert {tuple(view.shape[1:]) for view in views} == {merged.ori_shape}
    assert torch.equal(sum(views).argmax(0), merged.pred_sem_seg.data[0])
    assert {'mIoU'} <= runner.test().keys()
