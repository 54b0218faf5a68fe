"""Train, test and picture a small UniFormer on real images, on the CPU, in minutes.

    python tools/demo/run.py cls       # what `make demo` runs; also det, seg, pose, video, all

Each part makes the data it needs, trains with tools/train.py, tests with tools/test.py, and leaves
its pictures and a summary.json in work_dirs/demo/<part>; work_dirs/demo/index.html shows them all,
and demo.jpg a row of each. All parts but the first start from the classifier. An interrupted demo
goes on where it stopped; a finished one is kept, and the next starts anew beside it.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

REPO = Path(__file__).resolve().parents[2]
OUT = Path('work_dirs/demo')
# The interpreter that runs this, for commands that need no activated .venv.
PYTHON = shlex.quote(sys.executable.removeprefix(f'{REPO}/'))


class DemoError(RuntimeError):
    """The demo cannot go on or missed its mark; the message says why."""


class Score(NamedTuple):
    """A figure of the test: what to call it, what it must reach and how to write it."""

    label: str
    target: float
    form: str = '{:.3f}'

    def write(self, value: float) -> str:
        return f'{self.label} {self.form.format(value)}'


@dataclasses.dataclass(frozen=True)
class Demo:
    """One part of the demo.

    Args:
        title: What it shows, in one sentence.
        config: Config to train and test.
        data: Built-in data set.
        scores: Figures that validation and test report, by the name of the metric.
        weights: Name of the trained weights.
        next_steps: Commands worth trying, of make or Python; ``{config}`` and ``{weights}`` are
            filled in.
        curves: Further validation scores to draw, with their labels.
        variants: Further tests of the same checkpoint: label to ``--cfg-options``; nothing is
            expected of them.
        classes: File with the names of the classes, if the data set does not tell them.
    """

    title: str
    config: str
    data: str
    scores: dict[str, Score]
    weights: str
    next_steps: tuple[str, ...]
    curves: dict[str, str] = dataclasses.field(default_factory=dict)
    variants: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    classes: str | None = None

    def write(self, metrics: dict[str, float]) -> str:
        """The scores in one line. A detector that finds nothing reports nothing: 0."""
        return '   '.join(s.write(metrics.get(key, 0.0)) for key, s in self.scores.items())


def run(*args: object, quiet: bool = False, watch: Callable[[], None] | None = None) -> None:
    """Print a command of this project and run it.

    Args:
        args: Script and arguments.
        quiet: Show the end of its output if it fails, otherwise nothing.
        watch: Called with every line of output.

    Raises:
        DemoError: If the command fails.
    """
    command = [str(arg) for arg in args]
    print(f'\n$ {PYTHON} {shlex.join(command)}', flush=True)
    paths = [str(REPO), *filter(None, [os.environ.get('PYTHONPATH')])]
    # Data workers take the other cores. Threads without a core of their own keep all waiting.
    threads = max(1, os.cpu_count() // 2)
    env = {'OMP_NUM_THREADS': str(threads), **os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    tail = collections.deque(maxlen=15)
    pipe = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    with subprocess.Popen([sys.executable, *command], env=env, **pipe) as process:
        try:
            for line in process.stdout:
                if quiet:
                    tail.append(line)
                else:
                    print(line, end='', flush=True)
                if watch is not None:
                    watch()
        except BaseException:  # no command outlives the demo
            process.terminate()
            raise
    if process.returncode != 0:
        print(*tail, sep='', end='', file=sys.stderr)
        raise DemoError(f'{PYTHON} {command[0]} ended with status {process.returncode}')


class Progress:
    """Prints a line for every evaluation that a run writes into its ``scalars.json``.

    Args:
        work_dir: Work dir of the run; what is in it already, from an earlier start, is left out.
        demo: What runs.
        length: Epochs, or iterations, in all.
    """

    FILES = '*/vis_data/scalars.json'

    def __init__(self, work_dir: Path, demo: Demo, length: int) -> None:
        self.work_dir, self.demo, self.length = work_dir, demo, length
        self.old = set(work_dir.glob(self.FILES))
        self.num_printed = 0
        self.start = time.monotonic()

    def __call__(self) -> None:
        files = sorted(set(self.work_dir.glob(self.FILES)) - self.old)
        text = ''.join(file.read_text() for file in files)
        lines, losses, position = [], [], ''
        for record in map(json.loads, text.splitlines()[: text.count('\n')]):
            if 'loss' in record:
                unit = 'epoch' if 'epoch' in record else 'iteration'
                position = f'{unit} {record.get("epoch", record["step"]):3d} of {self.length}'
                losses.append(record['loss'])
            else:
                loss = sum(losses) / max(len(losses), 1)
                lines.append(f'  {position}   loss {loss:.3f}   {self.demo.write(record)}')
                losses.clear()
        elapsed = datetime.timedelta(seconds=round(time.monotonic() - self.start))
        for line in lines[self.num_printed :]:
            print(f'{line}   {elapsed}', flush=True)
        self.num_printed = len(lines)


def next_run(folder: Path) -> Path:
    """The newest run of ``folder`` if it was interrupted, otherwise a new one."""
    runs = sorted(folder.glob('run_*'))
    if runs and not (runs[-1] / 'metrics.json').exists():
        return runs[-1]
    return folder / f'run_{len(runs) + 1:03d}'


def train(demo: Demo, work_dir: Path) -> Path:
    """Train, or go on with it; returns the last checkpoint."""
    from mmengine.config import Config

    warnings.filterwarnings('ignore', 'pkg_resources is deprecated')
    loop = Config.fromfile(demo.config, import_custom_modules=False).train_cfg
    unit, length = ('epoch', loop.max_epochs) if 'max_epochs' in loop else ('iter', loop.max_iters)
    progress = Progress(work_dir, demo, length)
    command = ('tools/train.py', demo.config, '--work-dir', work_dir, '--resume')
    run(*command, quiet=True, watch=progress)
    progress()  # the last evaluation is written after its line of output
    return work_dir / f'{unit}_{length}.pth'


def test(
    config: str, checkpoint: Path, name: str = '', options: tuple[str, ...] = ()
) -> tuple[dict[str, float], Path]:
    """Test; returns the metrics and the file of predictions, both beside the checkpoint."""
    work_dir = checkpoint.parent
    metrics, predictions = work_dir / f'metrics{name}.json', work_dir / f'predictions{name}.pkl'
    run(
        *('tools/test.py', config, checkpoint, '--work-dir', work_dir / 'test', '--overwrite'),
        *('--dump', predictions, '--out', metrics),
        *(['--cfg-options', *options] if options else []),
        quiet=True,
    )
    return json.loads(metrics.read_text()), predictions


def run_demo(name: str) -> None:
    """Run a part of the demo.

    Raises:
        DemoError: If a command fails, or a score misses its target.
    """
    demo = DEMOS[name]
    out = OUT / name
    if name != 'cls' and not (OUT / 'cls/classifier.pth').exists():
        print('There is no classifier to start from yet: the classification demo comes first.')
        run_demo('cls')
    work_dir = next_run(out)

    run('tools/demo/make_mini.py', demo.data)
    start = time.monotonic()
    checkpoint = train(demo, work_dir)
    seconds = round(time.monotonic() - start)

    lines = []
    for number, (label, options) in enumerate(demo.variants.items(), 1):
        found, _ = test(demo.config, checkpoint, f'_{number}', options)
        lines.append(f'{label}: {demo.write(found)}')
    # Last, since a run with these metrics is finished.
    metrics, predictions = test(demo.config, checkpoint)

    picture, curve = out / 'predictions.png', out / 'curve.png'
    run(
        *('tools/visualization/draw.py', demo.config, predictions, picture),
        *('--first-row', out / 'row.png'),
        *(('--classes', demo.classes) if demo.classes else ()),
        quiet=True,
    )
    curves = {key: score.label for key, score in demo.scores.items()} | demo.curves
    run(
        *('tools/visualization/training_curve.py', work_dir, curve),
        *('--metrics', *(f'{key}={label}' for key, label in curves.items())),
        quiet=True,
    )
    # Kept where the other parts and the commands below find them, whichever run they came from.
    weights = out / f'{demo.weights}.pth'
    shutil.copyfile(checkpoint, weights.with_suffix('.tmp'))
    weights.with_suffix('.tmp').replace(weights)

    summary = dict(
        title=demo.title,
        config=demo.config,
        metrics={key: metrics.get(key, 0.0) for key in demo.scores},
        text=demo.write(metrics),
        expected=', '.join(f'{score.target:g}' for score in demo.scores.values()),
        lines=lines,
        run=str(work_dir),
        train_seconds=seconds,
    )
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    show_all()

    print(f'\nHeld-out data: {summary["text"]}   ({seconds} s of training)')
    print(*(f'  {line}\n' for line in lines), sep='', end='')
    print(f'  {picture}   what it predicted, and {curve.name} how it learnt')
    print(f'  {weights}   the weights\n\nTry next')
    for step in demo.next_steps:
        start = '' if step.startswith('make ') else f'{PYTHON} '
        print(f'  {start}{step.format(config=demo.config, weights=weights)}')
    for key, score in demo.scores.items():
        value = summary['metrics'][key]
        if value < score.target:
            raise DemoError(f'{score.write(value)}, expected at least {score.target:g}')


def show_all(width: int = 800) -> None:
    """Show the parts that have been run on one page, and a row of each in one small picture."""
    sections, rows = [], []
    for name in DEMOS:
        summary, row = OUT / name / 'summary.json', OUT / name / 'row.png'
        if not (summary.is_file() and row.is_file()):
            continue
        summary, row = json.loads(summary.read_text()), Image.open(row).convert('RGB')
        sections.append(
            f'<h2>{summary["title"]}</h2><p><b>{summary["text"]}</b> (expected at least '
            f'{summary["expected"]}), {summary["train_seconds"]} s of training, '
            f'<code>{summary["config"]}</code></p>'
            + ''.join(f'<p>{line}</p>' for line in summary['lines'])
            + f'<img src="{name}/predictions.png" alt=""><img src="{name}/curve.png" alt="">'
        )
        size = width, round(row.height * width / row.width)
        rows.append((summary['title'], row.resize(size)))
    style = 'body{font:16px sans-serif;max-width:75em;margin:2em auto}img{max-width:100%}'
    (OUT / 'index.html').write_text(
        '<!doctype html><meta charset="utf-8"><title>uniformer_mm: demo</title>'
        f'<style>{style}</style><h1>uniformer_mm: demo</h1>{"".join(sections)}\n'
    )
    top, line = 0, 22
    canvas = Image.new('RGB', (width, sum(row.height + line for _, row in rows)), 'white')
    for title, row in rows:
        ImageDraw.Draw(canvas).text((8, top + 4), title, 'black', ImageFont.load_default(15))
        canvas.paste(row, (0, top + line))
        top += line + row.height
    canvas.save(OUT / 'demo.jpg', quality=75)


TRAIN = 'tools/train.py configs/'
DEMOS = dict(
    cls=Demo(
        title='Classify handwritten digits on photographs',
        config='configs/mini/uniformer-mini_1xb32_digits.py',
        data='imagenet',
        scores={'accuracy/top1': Score('top-1 accuracy (%)', 95.0, '{:.1f}')},
        curves={'accuracy/top1_origin': 'without weight averaging'},
        weights='classifier',
        next_steps=(
            'tools/test.py {config} {weights} --show-dir work_dirs/demo/cls/pictures',
            'tools/inference/classify.py {config} {weights} data/mini/imagenet/val/7',
            TRAIN + 'imagenet/uniformer-small_8xb128_in1k.py   # ImageNet: docs/data.md',
            'make demo-det   # the same network finds and outlines digits',
        ),
    ),
    det=Demo(
        title='Find and outline handwritten digits on photographs',
        config='configs/mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py',
        data='coco',
        scores={
            'coco/bbox_mAP_50': Score('box AP50', 0.6),
            'coco/segm_mAP_50': Score('mask AP50', 0.5),
        },
        weights='detector',
        next_steps=(
            'tools/inference/detect.py {config} {weights} data/mini/coco/val2017',
            TRAIN + 'coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py   # COCO',
        ),
    ),
    seg=Demo(
        title='Colour every pixel of photographs with handwritten digits',
        config='configs/mini/uniformer-mini-g_fpn_ade20k-digits.py',
        data='ade',
        scores={'mIoU': Score('mean IoU (%)', 50.0, '{:.1f}')},
        # Trained with attention over whole maps; any style of stage 3 may test it.
        variants={
            'the same weights, stage 3 in windows and every fourth block global': (
                'model.backbone.stage3_style=hybrid',
                'model.backbone.window_size=6',
            ),
        },
        weights='segmentation',
        next_steps=(
            'tools/inference/segment.py {config} {weights} data/mini/ade/images/validation',
            'tools/test.py {config} {weights} --tta   # six scales, each also mirrored',
            TRAIN + 'ade20k/uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py   # ADE20K',
        ),
    ),
    pose=Demo(
        title='Find the joints of people drawn on photographs',
        config='configs/mini/td-hm_uniformer-mini_coco-people.py',
        data='pose',
        scores={'coco/AP': Score('keypoint AP', 0.5)},
        weights='pose',
        next_steps=(
            'tools/inference/pose.py {config} {weights} data/mini/pose/val2017 --boxes '
            'data/mini/pose/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
            TRAIN + 'coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192.py   # COCO',
        ),
    ),
    video=Demo(
        title='Tell from a clip which way a handwritten digit moves',
        config='configs/mini/uniformer-mini_8x2x1_1xb16_kinetics-digits-rgb.py',
        data='kinetics',
        scores={'acc/top1': Score('top-1 accuracy', 0.9)},
        variants={
            'every clip a single frame, repeated (chance is 0.250)': (
                'test_dataloader.dataset.pipeline.1.type=SampleFrames',
                'test_dataloader.dataset.pipeline.1.frame_interval=0',
            ),
            'one clip of each video instead of four': (
                'test_dataloader.dataset.pipeline.1.num_clips=1',
            ),
        },
        classes='data/mini/kinetics/label_map.txt',
        weights='recognizer',
        next_steps=(
            'tools/inference/classify_video.py {config} {weights} '
            'data/mini/kinetics/videos_val --classes data/mini/kinetics/label_map.txt',
            TRAIN + 'kinetics/uniformer-small_in1k-pre_8x8x1_8xb16-100e_kinetics400-rgb.py',
        ),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'demos', nargs='+', choices=[*DEMOS, 'all'], help='parts to run, in this order'
    )
    args = parser.parse_args()
    os.chdir(REPO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in DEMOS if 'all' in args.demos else args.demos:
            run_demo(name)
    except DemoError as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('\ninterrupted: the same command goes on from the last checkpoint')


if __name__ == '__main__':
    main()
