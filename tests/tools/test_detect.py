"""tools/inference/detect.py with the mini detector and random weights."""

import json
from pathlib import Path

import pytest

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
