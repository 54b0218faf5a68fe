"""Annotations that do not fit the classes are refused before anything is trained."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.runner import BaseLoop

from uniformer_mm.engine import ClassCheckHook
from uniformer_mm.errors import UserError

pytest.importorskip('mmdet')
from mmdet.datasets import CocoDataset  # noqa: E402

CLASSES = ('square', 'bar')
FILE = 'annotations.json'
CONTENT = dict(
    images=[dict(id=0, file_name='0.jpg', width=160, height=120)],
    annotations=[
        dict(id=i, image_id=0, category_id=c, bbox=[9, 9, 40, 40], area=1600, iscrowd=0)
        for i, c in enumerate((3, 13))
    ],
    categories=[dict(id=3, name='square'), dict(id=13, name='bar')],
)


class Loop(BaseLoop):
    """Only a holder of its data set."""

    def __init__(self, dataset) -> None:
        self.dataloader = SimpleNamespace(dataset=dataset)

    def run(self) -> None:
        pass


def check(**datasets) -> list[str]:
    """Run the hook as a Runner would that has built these data sets; gives what it logs."""
    said = []
    loops = {
        f'_{split}_loop': Loop(datasets[split]) if split in datasets else dict(type='Loop')
        for split in ('train', 'val', 'test')
    }
    ClassCheckHook().before_run(SimpleNamespace(**loops, logger=SimpleNamespace(info=said.append)))
    return said


def dataset(root: Path, classes=CLASSES, **changes) -> CocoDataset:
    """A data set, with entries of the annotation file changed."""
    (root / FILE).write_text(json.dumps(CONTENT | changes))
    return CocoDataset(
        ann_file=str(root / FILE),
        data_prefix=dict(img=''),
        metainfo=None if classes is None else dict(classes=classes),
    )


def test_fitting_data_passes(tmp_path) -> None:
    good = dataset(tmp_path)
    repeated, both = RepeatDataset(good, times=2), ConcatDataset([good, dataset(tmp_path)])
    assert check(train=good, val=good) == check(test=good) == check(train=repeated, val=both) == []
    (said,) = check(train=dataset(tmp_path, ('bar',)))
    assert 'not used: square.' in said


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
def test_classes_that_do_not_fit(tmp_path, classes, wrap) -> None:
    bad = wrap(dataset(tmp_path, classes))
    for split in ('train', 'val', 'test'):
        with pytest.raises(UserError, match=r'file: +square, bar') as error:
            check(**{split: bad})
        names = ', '.join(classes or CocoDataset.METAINFO['classes'])
        assert f'config: {names}' in str(error.value)


def test_annotation_files_that_contradict_themselves(tmp_path) -> None:
    annotations = [*CONTENT['annotations'], dict(CONTENT['annotations'][0], id=99, category_id=1)]
    with pytest.raises(UserError, match=r'category_id \[1\].*they have \[3, 13\]'):
        check(train=dataset(tmp_path, annotations=annotations))
    categories = [*CONTENT['categories'], dict(id=23, name='square')]
    with pytest.raises(UserError, match='file: +square, bar, square'):
        check(train=dataset(tmp_path, categories=categories))
