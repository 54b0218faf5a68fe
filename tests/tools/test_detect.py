"""tools/inference/detect.py and --tta with the mini detector and random weights."""

import json
from pathlib import Path

import mmengine
import pytest
import torch
from small_data import make_coco

pytest.importorskip('mmdet')

CONFIG = Path(__file__).resolve().parents[2] / (
    'configs/mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py'
)


def test_predictions(random_weights, images, run_main, tmp_path, capsys) -> None:
    def detect(*flags: str) -> dict:
        out = tmp_path / f'out{len(flags)}'
        args = (CONFIG, random_weights(CONFIG), images / '7.jpg', '--out-dir', out, *flags)
        assert run_main('tools/inference/detect.py', *args, '--save-predictions') == 0
        return json.loads((out / 'preds/7.json').read_text())

    found = detect()
    assert {'bboxes', 'labels', 'scores', 'masks'} <= set(found)
    count = sum(score >= 0.3 for score in found['scores'])
    assert f'7.jpg: {count} found' in capsys.readouterr().out
    assert detect('--fast')['scores'] == pytest.approx(found['scores'], rel=1e-4)


def test_boxes_by_augmentation_in_the_test(random_weights, run_main, tmp_path) -> None:
    """Those of an image and its mirror image; masks are refused."""
    data = make_coco(tmp_path / 'coco', classes=[str(number) for number in range(10)])
    dumps = [tmp_path / 'plain.pkl', tmp_path / 'tta.pkl']
    options = [
        *(f'test_dataloader.dataset.data_root={data}/', 'test_dataloader.num_workers=0'),
        f'test_evaluator.ann_file={data}/annotations/instances_val2017.json',
    ]
    args = ('tools/test.py', CONFIG, random_weights(CONFIG), '--work-dir', tmp_path / 'work')
    said = run_main(*args, '--tta', '--cfg-options', *options)
    assert 'but no masks. Test boxes alone: --cfg-options test_evaluator.metric=bbox' in said
    options.append('test_evaluator.metric=bbox')
    for dump, tta in zip(dumps, ([], ['--tta']), strict=True):
        assert run_main(*args, *tta, '--dump', dump, '--cfg-options', *options) == 0
    for sample, merged in zip(*map(mmengine.load, map(str, dumps)), strict=True):
        found, boxes = merged['pred_instances'], sample['pred_instances']['bboxes']
        assert 'masks' not in found and 'masks' in sample['pred_instances']
        assert 0 < len(found['bboxes']) <= 100
        # The surest box of the image itself is among those of both, or a surer one hides it.
        assert found['scores'][0] >= sample['pred_instances']['scores'][0] - 1e-5
        assert torch.isfinite(boxes).all()
