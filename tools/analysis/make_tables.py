"""Write the tables of READMEs and errata, whose one source are the metafiles of ``configs/``.

A page has each table between ``<!-- table: NAME -->`` and ``<!-- /table -->``. What a table says
about the recipe (drop path, batch, learning rate) is read from the configs.

Examples:
    python tools/analysis/make_tables.py
    python tools/analysis/make_tables.py --check
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config, DictAction

REPO = Path(__file__).resolve().parents[2]
METAFILES = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
MARKED = re.compile(r'(<!-- table: (\S+) -->\n).*?(<!-- /table -->)', re.DOTALL)
HOSTS = {
    'drive.google.com': 'Google Drive',
    'huggingface.co': 'Hugging Face',
    'download.openmmlab.com': 'OpenMMLab',
    'github.com': 'GitHub',
}


@cache
def read_models(folder: str) -> dict[str, dict[str, Any]]:
    """The models of ``configs/FOLDER/metafile.yml`` by name, in their order."""
    text = (REPO / 'configs' / folder / 'metafile.yml').read_text()
    return {model['Name']: model for model in yaml.safe_load(text)['Models']}


def read_config(model: Mapping[str, Any]) -> Config:
    """The config of a row, with the ``--cfg-options`` of its command."""
    return _read_config(model['Config'], tuple(model.get('Override', ())))


@cache
def _read_config(path: str, override: tuple[str, ...]) -> Config:
    parser = argparse.ArgumentParser()
    parser.add_argument('--override', nargs='*', action=DictAction, default={})
    config = Config.fromfile(REPO / path)
    config.merge_from_dict(parser.parse_args(['--override', *override]).override)
    return config


def params(model: Mapping[str, Any]) -> str:
    """Our count of parameters."""
    return f'{model["Metadata"]["Parameters"] / 1e6:.2f} M'


def giga(model: Mapping[str, Any], views: str = '') -> str:
    """Our count of multiply-adds."""
    value = model['Metadata'][f'FLOPs{views}'] / 1e9
    return f'{value:.2f} G' if value < 10 else f'{value:.1f} G'


def cost(views: str = '') -> Callable[[Mapping[str, Any]], str]:
    """A column of our counts, and in brackets the published ones where there are any."""

    def cell(model: Mapping[str, Any]) -> str:
        published = model['Metadata'].get(f'Published GFLOPs{views}')
        return giga(model, views) if published is None else f'{giga(model, views)} ({published})'

    return cell


def other_views(views: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of the published scores of a test on other views, crops x clips."""
    return metric(f'Top 1 Accuracy ({views})', f'Top 5 Accuracy ({views})')


def start(model: Mapping[str, Any]) -> str:
    """What the weights at the start were trained on, and on which clips if the name has them."""
    data, _, clips = re.search(r'_([\w-]+)-pre', model['Name'])[1].partition('-')
    return f'{data.upper()} {clips}'.strip()


def metric(*names: str) -> Callable[[Mapping[str, Any]], str]:
    """A column of published scores; where there are several names, with slashes between."""

    def cell(model: Mapping[str, Any]) -> str:
        scores = {k: v for result in model['Results'] for k, v in result['Metrics'].items()}
        return ' / '.join(str(scores[name]) for name in names if name in scores)

    return cell


def part(pattern: str) -> Callable[[Mapping[str, Any]], str]:
    """A column whose cell is what ``pattern`` finds in the name: its groups, with x between."""
    return lambda model: ' x '.join(re.search(pattern, model['Name']).groups())


def weights(model: Mapping[str, Any]) -> str:
    """Links to what was released."""
    urls = [url for url in (model.get('Weights'), *model.get('Other Weights', ())) if url]
    links = [f'[{HOSTS[url.split("/")[2]]}]({url})' for url in urls]
    return ', '.join(links) or 'never released'


def override(model: Mapping[str, Any]) -> str:
    """What a row changes in the network of its config."""
    options = [option.removeprefix('model.backbone.') for option in model.get('Override', ())]
    return ', '.join(f'`{option}`' for option in options if not option.startswith('init_cfg.'))


def batch_and_rate(model: Mapping[str, Any]) -> str:
    """What an iteration learns from, on all GPUs, and the learning rate."""
    cfg = read_config(model)
    return f'{cfg.auto_scale_lr.base_batch_size}, {cfg.optim_wrapper.optimizer.lr:g}'


COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    'model': lambda model: model['Metadata']['Model'],
    'data': lambda model: model['Metadata']['Training Data'],
    'params': params,
    'params (published)': lambda model: (
        f'{params(model)} ({model["Metadata"]["Published Parameters"]})'
    ),
    'FLOPs (published)': cost(),
    'FLOPs of 1 x 1 (published)': cost(' (1x1)'),
    'config': lambda model: f'[config]({Path(model["Config"]).name})',
    'weights': weights,
    'top-1': metric('Top 1 Accuracy'),
    'top-5': metric('Top 5 Accuracy'),
    '1 x 1': other_views('1x1'),
    '3 x 2': other_views('3x2'),
    '3 x 4': other_views('3x4'),
    'mIoU': metric('mIoU'),
    'multi-scale': metric('mIoU(ms+flip)'),
    'box AP': metric('box AP'),
    'mask AP': metric('mask AP'),
    'AP': metric('AP'),
    'AR': metric('AR'),
    'AP / AR of mmpose': metric('AP (mmpose)', 'AR (mmpose)'),
    'drop path': lambda model: str(read_config(model).model.backbone.drop_path_rate),
    'model.backbone.*': override,
    'batch, lr': batch_and_rate,
    'schedule': lambda model: '3x + MS' if '-3x_' in model['Name'] else '1x',
    'training': lambda m: f'of {m["Metadata"]["Model"][0]}, G' if '32_' in m['Name'] else 'its own',
    'input': part(r'_coco-(\w+)$'),
    'size': part(r'-(\d+)px$'),
    'crop': part(r'-res(\d+)_'),
    'frames': part(r'_u(\d+)_'),
    'frames x stride': part(r'_(\d+)x(\d+)x1_'),
    'start': start,
    'top-1 of the start': lambda model: str(model['Metadata']['Start Top 1 Accuracy']),
    'GPUs x videos': part(r'_(\d+)xb(\d+)-'),
}


@dataclass(frozen=True)
class Table:
    """A table of one README.

    Attributes:
        folder: Where its metafile is, below ``configs``.
        names: Pattern of the names of its models.
        columns: Names of :data:`COLUMNS`.
        without: Pattern of names that stand in another table.
    """

    folder: str
    names: str
    columns: tuple[str, ...]
    without: str = ''

    def models(self) -> list[dict[str, Any]]:
        """The models of the table, in the order of the metafile."""
        return [
            model
            for name, model in read_models(self.folder).items()
            if fnmatch(name, self.names) and not fnmatch(name, self.without)
        ]

    def __str__(self) -> str:
        notes: list[str] = []
        rows = [
            [self._cell(model, column, notes) for column in self.columns] for model in self.models()
        ]
        footnotes = [f'\n[{number}] {note}' for number, note in enumerate(notes, 1)]
        return '\n'.join([*markdown(self.columns, rows), *footnotes])

    @staticmethod
    def _cell(model: Mapping[str, Any], column: str, notes: list[str]) -> str:
        cell = COLUMNS[column](model)
        note = model['Metadata'].get('Errata', {}).get(column.partition(' (')[0])
        if note is None:
            return cell
        if note not in notes:
            notes.append(note)
        return f'{cell} [{notes.index(note) + 1}]'.lstrip()


class Tasks:
    """The table of the main README: the largest model of every task, and the smallest of all."""

    # Task, model, its config, the scores to show.
    ROWS = (
        (
            'image classification',
            'UniFormer-XXS, 128 x 128',
            'imagenet/uniformer-xxs_8xb512_in1k-128px',
            ['top-1'],
        ),
        (
            'image classification',
            'UniFormer-L, 384 x 384',
            'imagenet/uniformer-large_token-label_8xb32_in1k-384px',
            ['top-1'],
        ),
        (
            'detection, instance segmentation',
            'Cascade Mask R-CNN, B',
            'coco_det/cascade-mask-rcnn_uniformer-b-h14_fpn_4conv1fc-giou_amp-ms-crop-3x_coco',
            ['box AP', 'mask AP'],
        ),
        (
            'semantic segmentation',
            'UperNet, B',
            'ade20k/uniformer-b-g_upernet_8xb2-160k_ade20k-512x512',
            ['mIoU'],
        ),
        (
            'human pose estimation',
            'B, 448 x 320',
            'coco_pose/td-hm_uniformer-b-8xb32-210e_coco-448x320',
            ['AP'],
        ),
        (
            'action recognition',
            'B, 32 x 4',
            'kinetics/uniformer-base_in1k-pre_32x4x1_8xb4-110e_kinetics400-rgb',
            ['top-1'],
        ),
        (
            'action recognition',
            'DualFormer-B, 32 x 2',
            'kinetics/dualformer-base_in21k-pre_32x2x1_8xb8-30e_kinetics400-rgb',
            ['top-1'],
        ),
        (
            'action recognition',
            'B, 32',
            'something_something/uniformer-base_k600-pre_u32_8xb4-50e_sthv2-rgb',
            ['top-1'],
        ),
    )

    def __str__(self) -> str:
        rows = []
        for task, label, path, scores in self.ROWS:
            folder, name = path.split('/')
            model = read_models(folder)[name]
            published = ', '.join(f'{score} {COLUMNS[score](model)}' for score in scores)
            data = f'[{model["Metadata"]["Training Data"]}](configs/{folder}/README.md)'
            link = f'[config]({model["Config"]})'
            rows.append([task, data, label, params(model), giga(model), published, link])
        header = ('task', 'data', 'model', 'params', 'FLOPs', 'published score', 'config')
        return '\n'.join(markdown(header, rows))


class Errata:
    """The table of docs/errata.md: the notes of all metafiles, each with the rows it is about."""

    def __str__(self) -> str:
        notes: dict[tuple[str, str, str], list[str]] = {}
        for path in METAFILES:
            folder = Path(path).parent.name
            for model in read_models(folder).values():
                link = f'[{model["Metadata"]["Model"]}](../{model["Config"]})'
                for column, note in model['Metadata'].get('Errata', {}).items():
                    links = notes.setdefault((folder, column, note), [])
                    links += [link] if link not in links else []
        rows = [
            [f'[{folder}](../configs/{folder}/README.md)', ', '.join(links), column, note]
            for (folder, column, note), links in notes.items()
        ]
        return '\n'.join(markdown(('table', 'model', 'column', 'note'), rows))


HEAD, COST, TAIL = ('model',), ('params', 'FLOPs (published)'), ('config', 'weights')
DESIGN = (*HEAD, 'model.backbone.*')
IMAGENET = (*HEAD, *COST, 'top-1', *TAIL)
DETECTION = (*HEAD, 'schedule', *COST, 'box AP', 'mask AP', 'drop path', *TAIL)
POSE = (*HEAD, 'input', *COST, 'AP', 'AR')
SCORES = ('top-1', 'top-5')
KINETICS = (*HEAD, 'frames x stride', *COST, *SCORES, '1 x 1', '3 x 4', 'GPUs x videos', *TAIL)
LIGHT_KINETICS = (*HEAD, 'frames', 'crop', *COST, 'top-1', 'GPUs x videos', *TAIL)
STARTS = (*HEAD, 'frames', 'start')
SOMETHING = (*STARTS, *COST, *SCORES, '1 x 1', '3 x 2', 'drop path', *TAIL)
ATTENTION = (*DESIGN, 'start', 'top-1 of the start', 'params', 'FLOPs of 1 x 1 (published)')
VARIANTS = (*STARTS, *COST, *SCORES, '1 x 1', 'config')
SMALL_VIDEO = (*HEAD, 'frames x stride', *COST, 'top-1', *TAIL)
DUAL_KINETICS = (*HEAD, 'data', 'start', 'frames x stride', *COST, 'top-1', 'top-5', *TAIL)
DUAL_SMALL_VIDEO = (*HEAD, 'start', *SMALL_VIDEO[1:])
TABLES: dict[str, Table | Tasks | Errata] = {
    'tasks': Tasks(),
    'errata': Errata(),
    'imagenet': Table('imagenet', '*_8xb128_in1k', IMAGENET, without='*_*_8xb128_in1k'),
    'imagenet-design': Table(
        'imagenet',
        'uniformer-small_*8xb128_in1k',
        (*DESIGN, 'params (published)', 'FLOPs (published)', 'top-1'),
        without='*_token-label_*',
    ),
    'imagenet-light': Table('imagenet', '*-x*', (*HEAD, 'size', *COST, 'top-1', *TAIL)),
    'imagenet-token-label': Table('imagenet', '*_token-label_*_in1k', IMAGENET),
    'imagenet-384': Table('imagenet', '*_token-label_*-384px', IMAGENET),
    'mask-rcnn': Table('coco_det', 'mask-rcnn_*-h14_*', DETECTION),
    'mask-rcnn-light': Table('coco_det', 'mask-rcnn_*-x*', DETECTION),
    'cascade-mask-rcnn': Table('coco_det', 'cascade-*', DETECTION),
    'mask-rcnn-styles': Table('coco_det', 'mask-rcnn_*-s-[!h]*', DETECTION),
    'fpn': Table('ade20k', '*_fpn_*', (*HEAD, *COST, 'mIoU', 'training', *TAIL)),
    'upernet': Table(
        'ade20k', '*_upernet_*', (*HEAD, *COST, 'mIoU', 'multi-scale', 'training', *TAIL)
    ),
    'pose': Table(
        'coco_pose',
        '*-[sb]-8xb*',
        (*POSE, 'AP / AR of mmpose', 'batch, lr', 'drop path', *TAIL),
    ),
    'pose-styles': Table('coco_pose', '*-s-[hw]14-*', (*POSE, 'batch, lr', 'drop path', *TAIL)),
    'kinetics400': Table(
        'kinetics',
        'uniformer-[sb]*-1?0e_kinetics400-*',
        KINETICS,
        without='uniformer-*-*_*-pre_*',
    ),
    'kinetics400-design': Table(
        'kinetics',
        'uniformer-small*-50e_kinetics400-*',
        (*DESIGN, 'params', 'FLOPs of 1 x 1 (published)', 'top-1'),
    ),
    'kinetics400-kernels': Table(
        'kinetics', 'uniformer-small*_8x8x1_*', (*DESIGN, *COST, *SCORES, '1 x 1')
    ),
    'kinetics400-light': Table('kinetics', 'uniformer-x*_kinetics400-*', LIGHT_KINETICS),
    'kinetics600': Table('kinetics', 'uniformer-*_kinetics600-*', KINETICS),
    'kinetics-dualformer': Table('kinetics', 'dualformer-*', DUAL_KINETICS),
    'diving48': Table('diving48', '*', DUAL_SMALL_VIDEO),
    'sthv1': Table(
        'something_something', '*_k?00-pre_u[13]?_*_sthv1-*', SOMETHING, without='*-small-*'
    ),
    'sthv1-attention': Table(
        'something_something',
        'uniformer-small*_????-pre_u16_*_sthv1-*',
        (*ATTENTION, '1 x 1', 'config'),
        without='*_k600-*',
    ),
    'sthv1-kernels': Table('something_something', '*_u8_*', (*DESIGN, *VARIANTS[1:])),
    'sthv1-starts': Table('something_something', '*_k400-*x*-pre_*', VARIANTS),
    'sthv2': Table('something_something', '*_sthv2-*', SOMETHING),
    'ucf101': Table('ucf101', 'uniformer-*', SMALL_VIDEO),
    'ucf101-dualformer': Table('ucf101', 'dualformer-*', DUAL_SMALL_VIDEO),
    'hmdb51': Table('hmdb51', 'uniformer-*', SMALL_VIDEO),
    'hmdb51-dualformer': Table('hmdb51', 'dualformer-*', DUAL_SMALL_VIDEO),
}


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table."""
    header = list(header)
    lines = [f'| {" | ".join(cells)} |' for cells in (header, *rows)]
    return [lines[0], '|' + '---|' * len(header), *lines[1:]]


def fill(text: str) -> str:
    """Put every marked table of a README in its place.

    Args:
        text: The README.

    Returns:
        The README with its tables as the metafiles have them.

    Raises:
        KeyError: If a marker names no table.
    """
    return MARKED.sub(lambda found: f'{found[1]}{TABLES[found[2]]}\n{found[3]}', text)


def readmes() -> list[Path]:
    """The pages that have tables."""
    pages = (REPO / 'README.md', REPO / 'docs/errata.md')
    return [*pages, *sorted((REPO / 'configs').glob('*/README.md'))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='write nothing; fail if they differ')
    args = parser.parse_args()
    stale = [path for path in readmes() if fill(path.read_text()) != path.read_text()]
    for path in stale:
        if not args.check:
            path.write_text(fill(path.read_text()))
        print(f'{"differs" if args.check else "written"}: {path.relative_to(REPO)}')
    if args.check and stale:
        sys.exit('Run tools/analysis/make_tables.py.')


if __name__ == '__main__':
    main()
