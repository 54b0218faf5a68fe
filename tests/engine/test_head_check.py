"""Classes and keypoints of data and model agree, or nothing starts: a child config for each task,
with each of its numbers forgotten in turn."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import BaseLoop
from paper_configs import CONFIGS, build_model

from uniformer_mm.engine import HeadCheckHook, LabelCheckHook
from uniformer_mm.errors import UserError

# A config of each task for three classes or keypoints; `N` is their number.
IMAGES = """
model = dict(head=dict(num_classes=N))
data_preprocessor = dict(num_classes=N)
"""
OBJECTS = (
    'model = dict(roi_head=dict(bbox_head=dict(num_classes=N), mask_head=dict(num_classes=N)))'
)
CASCADE = """
bbox_head = [dict(head, num_classes=N) for head in _base_.model.roi_head.bbox_head]
model = dict(roi_head=dict(bbox_head=bbox_head, mask_head=dict(num_classes=N)))
"""
REGIONS = 'model = dict(decode_head=dict(num_classes=N), auxiliary_head=dict(num_classes=N))'
PEOPLE = 'model = dict(head=dict(out_channels=N))'
CLIPS = """
blending = dict(num_classes=N)
model = dict(cls_head=dict(num_classes=N), data_preprocessor=dict(blending=blending))
"""
TASKS = {
    'images': ('uniformer-mini_1xb32_digits', IMAGES, 'classes'),
    'objects': ('mask-rcnn_uniformer-mini-h_fpn_coco-digits', OBJECTS, 'classes'),
    'cascade': ('cascade-mask-rcnn_uniformer-mini-h_fpn_coco-digits', CASCADE, 'classes'),
    'regions': ('uniformer-mini-g_upernet_ade20k-digits', REGIONS, 'classes'),
    'people': ('td-hm_uniformer-mini_coco-people', PEOPLE, 'num_keypoints'),
    'clips': ('uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb', CLIPS, None),
}


class Loop(BaseLoop):
    """Only a holder of its data set."""

    def __init__(self, dataset, evaluator=None) -> None:
        self.dataloader, self.evaluator = SimpleNamespace(dataset=dataset), evaluator

    def run(self) -> None:
        pass


def start(cfg: Config, metainfo: dict, val: dict | None = None) -> list:
    """What a Runner does before it loads weights; gives the steps that read label maps."""
    with torch.device('meta'):
        model = build_model(copy.deepcopy(cfg))
    steps = [step for step in cfg.train_dataloader.dataset.pipeline if 'LabelMap' in step.type]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        pipeline = Compose([TRANSFORMS.build(dict(step)) for step in steps])
    data = [
        SimpleNamespace(metainfo=info, pipeline=pipeline) for info in (metainfo, val or metainfo)
    ]
    loops = dict(_train_loop=Loop(data[0]), _val_loop=Loop(data[1]), _test_loop=None)
    HeadCheckHook().before_run(SimpleNamespace(model=model, cfg=cfg, **loops))
    return pipeline.transforms


def child(folder: Path, task: str) -> tuple[Config, dict]:
    """A config that writes its number once, and what its data set says of itself."""
    base, text, key = TASKS[task]
    file = folder / 'child.py'
    file.write_text(f'_base_ = {str(CONFIGS / "mini" / base) + ".py"!r}\nN = 3\n{text}\n')
    data = {'classes': dict(classes=['a', 'b', 'c']), 'num_keypoints': dict(num_keypoints=3)}
    return Config.fromfile(file), data.get(key, {})


def numbers(node, path: str = '') -> list[str]:
    """The dotted keys of a config that hold its number."""
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        return [key for k, v in items for key in numbers(v, f'{path}.{k}')]
    return [path[1:]] if path.endswith(('.num_classes', '.out_channels')) and node == 3 else []


@pytest.mark.parametrize('task', TASKS)
def test_one_number_for_all(task: str, tmp_path: Path) -> None:
    cfg, metainfo = child(tmp_path, task)
    for step in start(cfg, metainfo):
        assert step.num_classes == 3, 'that of the data'
    used = numbers({key: cfg[key] for key in ('model', 'data_preprocessor') if key in cfg})
    assert len(used) == dict(cascade=4, people=1).get(task, 2)
    for key in used:
        changed = copy.deepcopy(cfg)
        changed.merge_from_dict({key: 7})
        # Cascade makes one mask head for each of its stages.
        name = key.replace('mask_head', r'mask_head(\.0)?')
        with pytest.raises(UserError, match=rf'do not agree:(.|\n)*   7  {name}\n') as error:
            start(changed, metainfo)
        assert (task == 'cascade') == ('for head in _base_' in str(error.value))
    if metainfo:
        more = dict(classes=['a', 'b'], num_keypoints=2)
        with pytest.raises(UserError, match='2  val_dataloader.dataset'):
            start(cfg, metainfo, {key: more[key] for key in metainfo})


def test_names_of_classes(tmp_path: Path) -> None:
    cfg, metainfo = child(tmp_path, 'regions')
    with pytest.raises(UserError, match='dataset has c; val_dataloader.dataset has d. Their label'):
        start(cfg, metainfo, dict(classes=['a', 'b', 'd']))
    with pytest.raises(UserError, match='same in another order: a, c, b. Their'):
        start(cfg, metainfo, dict(classes=['a', 'c', 'b']))
    with pytest.raises(UserError, match=r"is a text: write \('abc',\)"):
        start(cfg, dict(classes='abc'))
    with pytest.raises(UserError, match='names no classes'):
        start(cfg, {})


class Labels(list):
    """A list of labels as mmaction2's data set."""

    ann_file, metainfo, multi_class = 'list.txt', {}, False

    def get_data_info(self, index: int) -> dict:
        return dict(label=self[index], filename=f'{index}.mp4')


@pytest.mark.parametrize(
    ('count', 'topk', 'kwargs', 'message'),
    [
        (3, (1,), {}, None),
        (5, (1, 5), {}, None),
        (6, (1, 5), {}, 'end at 2, and model.head.num_classes=6: set it, .* classes, 3.'),
        (6, (1, 5), dict(allow_unused=True), None),
        (4, (1, 5), {}, r'val_evaluator.topk=\(1, 5\), and there are 4 classes: set val_eval'),
        (2, (1,), {}, '1 of 3 labels are not from 0 to 1.*the first is 2 of 2.mp4'),
    ],
)
def test_labels_and_scores(count: int, topk: tuple, kwargs: dict, message: str | None) -> None:
    Accuracy = type('Accuracy', (), dict(topk=topk))  # noqa: N806
    model = torch.nn.Module()
    model.head = torch.nn.Module()
    model.head.num_classes = count
    val = Loop(Labels([0]), SimpleNamespace(metrics=[Accuracy()]))
    loops = dict(_train_loop=Loop(Labels([0, 1, 2])), _val_loop=val, _test_loop=None)
    runner = SimpleNamespace(model=model, **loops)
    if message is None:
        LabelCheckHook(**kwargs).before_run(runner)
        return
    with pytest.raises(UserError, match=message):
        LabelCheckHook(**kwargs).before_run(runner)
