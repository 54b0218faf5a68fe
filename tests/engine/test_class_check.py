"""Annotations that do not fit the classes are refused before anything is trained."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MMLogger
from mmengine.runner import BaseLoop
from tiny_coco import CLASSES, make_coco

from uniformer_mm.engine import ClassCheckHook
from uniformer_mm.cli import UserError

pytest.importorskip('mmdet')
from mmdet.datasets import CocoDataset  # noqa: E402
from mmengine.dataset import ConcatDataset, RepeatDataset  # noqa: E402


class Loop(BaseLoop):
    """Only a holder of its data set."""

    def __init__(self, dataset) -> None:
        self.dataloader = SimpleNamespace(dataset=dataset)

    def run(self) -> None:
        pass


def check(train=None, val=None, test=None) -> None:
    """Run the hook as a Runner would that has built these data sets."""
    loops = [dict(type='Loop') if data is None else Loop(data) for data in (train, val, test)]
    runner = SimpleNamespace(
        _train_loop=loops[0],
        _val_loop=loops[1],
        _test_loop=loops[2],
        logger=MMLogger.get_current_instance(),
    )
    ClassCheckHook().before_run(runner)


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return make_coco(tmp_path_factory.mktemp('coco') / 'data')


def dataset(root: Path, classes=CLASSES, **kwargs) -> CocoDataset:
    return CocoDataset(
        ann_file='annotations/instances_train2017.json',
        data_root=str(root),
        data_prefix=dict(img='train2017'),
        metainfo=None if classes is None else dict(classes=classes),
        **kwargs,
    )


@pytest.fixture
def edited(root, tmp_path):
    """A function that changes the annotation file and gives the folder of the copy."""

    def edit(**changes) -> Path:
        path = Path('annotations/instances_train2017.json')
        content = json.loads((root / path).read_text()) | changes
        (tmp_path / path.parent).mkdir()
        (tmp_path / path).write_text(json.dumps(content))
        return tmp_path

    return edit


def test_fitting_data_passes(root) -> None:
    good = dataset(root)
    check(train=good, val=good)
    check(test=good)
    check(train=RepeatDataset(good, times=2), val=ConcatDataset([good, dataset(root)]))


def test_some_of_the_classes(root, caplog) -> None:
    MMLogger.get_current_instance().addHandler(caplog.handler)
    check(train=dataset(root, ('bar',)))
    assert 'not used: square.' in caplog.text


@pytest.mark.parametrize(
    'classes',
    [
        pytest.param(('square', 'bra'), id='misspelt'),
        pytest.param(('bar', 'square'), id='order'),
        pytest.param(('square', 'bar', 'disc'), id='more'),
        pytest.param(None, id='those of COCO'),
    ],
)
@pytest.mark.parametrize(
    'wrap',
    [
        pytest.param(lambda dataset: dataset, id='plain'),
        pytest.param(lambda dataset: RepeatDataset(dataset, times=2), id='repeated'),
        pytest.param(lambda dataset: ConcatDataset([dataset, dataset]), id='concatenated'),
    ],
)
def test_classes_that_do_not_fit(root, classes, wrap) -> None:
    bad = wrap(dataset(root, classes))
    for split in ('train', 'val', 'test'):
        with pytest.raises(UserError, match=r'file: +square, bar') as error:
            check(**{split: bad})
        assert f'config: {", ".join(classes or CocoDataset.METAINFO["classes"])}' in str(
            error.value
        )


def test_undefined_category_ids(root, edited) -> None:
    content = json.loads((root / 'annotations/instances_train2017.json').read_text())
    annotations = [*content['annotations'], dict(content['annotations'][0], id=99, category_id=1)]
    with pytest.raises(UserError, match=r'category_id \[1\].*they have \[3, 13\]'):
        check(train=dataset(edited(annotations=annotations)))


def test_two_categories_of_one_name(edited) -> None:
    names = ('square', 'bar', 'square')
    categories = [dict(id=3 + 10 * i, name=name) for i, name in enumerate(names)]
    with pytest.raises(UserError, match='file: +square, bar, square'):
        check(train=dataset(edited(categories=categories)))
