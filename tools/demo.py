"""Train, test and picture a small UniFormer on real images, on the CPU, in minutes.

    python tools/demo.py cls       # classification, what `make demo` runs
    python tools/demo.py det       # detection, what `make demo-det` runs
    python tools/demo.py seg       # segmentation, what `make demo-seg` runs
    python tools/demo.py pose      # human poses, what `make demo-pose` runs
    python tools/demo.py video     # video, what `make demo-video` runs
    python tools/demo.py all       # every part: `make demo-all`

Each part makes the data it needs, trains with tools/train.py, tests with tools/test.py, and leaves
its pictures and a summary.json in work_dirs/demo/<part>; work_dirs/demo/index.html shows them all.
All parts but the first start from the classifier. An interrupted demo goes on where it stopped; a
finished one is kept, and the next starts anew beside it.
"""

import argparse
import dataclasses
import datetime
import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
OUT = Path('work_dirs/demo')


class DemoError(RuntimeError):
    """The demo cannot go on or missed its mark; the message says why."""


@dataclasses.dataclass(frozen=True)
class Score:
    """A figure of the test, what to call it, how to write it and what it must reach."""

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
        picture: Command that draws the predictions; ``{config}``, ``{predictions}`` and
            ``{picture}`` are filled in.
        weights: Name of the trained weights.
        curves: Further validation scores to draw, with their labels.
        variants: Further tests of the same checkpoint: label to ``--cfg-options``; nothing is
            expected of them.
        next_steps: Commands worth trying; ``{config}`` and ``{weights}`` are filled in.
    """

    title: str
    config: str
    data: str
    scores: dict[str, Score]
    picture: tuple[str, ...]
    weights: str
    next_steps: tuple[str, ...]
    curves: dict[str, str] = dataclasses.field(default_factory=dict)
    variants: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def run(*args: object, on_line: Callable[[str], None] | None = None) -> None:
    """Print a command of this project and run it; its output goes to ``on_line``, or is printed.

    Raises:
        DemoError: If the command fails, with the end of its output.
    """
    command = [str(arg) for arg in args]
    print(f'\n$ python {shlex.join(command)}', flush=True)
    paths = [str(REPO), *filter(None, [os.environ.get('PYTHONPATH')])]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    lines = []
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if on_line is None:
                print(line, end='', flush=True)
            else:
                on_line(line)
    if process.returncode != 0:
        tail = '' if on_line is None else ''.join(lines[-15:])
        raise DemoError(f'{tail}python {command[0]} ended with status {process.returncode}')


class Progress:
    """Turns mmengine's training log into one line per evaluation.

    Args:
        scores: Validation scores by the name of the metric.
        length: Epochs, or iterations, in all.
    """

    TRAIN = re.compile(r'(Epoch|Iter)\(train\) +\[ *(\d+)[]/].*? loss: ([\d.]+)')
    VAL = re.compile(r'(?:Epoch|Iter)\(val\) ')
    UNITS = dict(Epoch='epoch', Iter='iteration')

    def __init__(self, scores: dict[str, Score], length: int) -> None:
        self.length = length
        self.scores = [
            (re.compile(rf' {re.escape(key)}: ([\d.]+)'), score) for key, score in scores.items()
        ]
        self.losses: list[float] = []
        self.position = ''
        self.start = time.monotonic()

    def __call__(self, line: str) -> None:
        if found := self.TRAIN.search(line):
            self.position = f'{self.UNITS[found[1]]} {int(found[2]):3d} of {self.length}'
            self.losses.append(float(found[3]))
            return
        values = [pattern.search(line) for pattern, _ in self.scores]
        if self.VAL.search(line) and all(values):
            loss = sum(self.losses) / max(len(self.losses), 1)
            elapsed = datetime.timedelta(seconds=round(time.monotonic() - self.start))
            scores = '   '.join(
                score.write(float(value[1]))
                for (_, score), value in zip(self.scores, values, strict=True)
            )
            print(f'  {self.position}   loss {loss:.3f}   {scores}   {elapsed}', flush=True)
            self.losses.clear()


def next_run(folder: Path) -> Path:
    """The newest run of ``folder`` if it was interrupted, otherwise a new one."""
    runs = sorted(folder.glob('run_*'))
    if runs and not (runs[-1] / 'metrics.json').exists():
        return runs[-1]
    return folder / f'run_{len(runs) + 1:03d}'


def train(config: str, work_dir: Path, scores: dict[str, Score]) -> Path:
    """Train, or go on with it; returns the last checkpoint."""
    from mmengine.config import Config

    import uniformer_mm  # noqa: F401  (mends what is broken in the libraries)

    loop = Config.fromfile(config).train_cfg
    unit, length = ('epoch', loop.max_epochs) if 'max_epochs' in loop else ('iter', loop.max_iters)
    run(
        *('tools/train.py', config, '--work-dir', work_dir, '--resume'),
        on_line=Progress(scores, length),
    )
    return work_dir / f'{unit}_{length}.pth'


def test(
    config: str, checkpoint: Path, name: str = 'metrics', options: tuple[str, ...] = ()
) -> tuple[dict[str, float], Path]:
    """Test; returns the metrics and the file of predictions, both beside the checkpoint."""
    work_dir = checkpoint.parent
    metrics = work_dir / f'{name}.json'
    predictions = metrics.with_name(metrics.stem.replace('metrics', 'predictions') + '.pkl')
    run(
        *('tools/test.py', config, checkpoint, '--work-dir', work_dir / 'test', '--overwrite'),
        *('--dump', predictions, '--out', metrics),
        *(('--cfg-options', *options) if options else ()),
        on_line=lambda line: None,
    )
    return json.loads(metrics.read_text()), predictions


def keep_weights(checkpoint: Path, weights: Path) -> None:
    """Copy the weights of a run to a place that does not change with it."""
    shutil.copyfile(checkpoint, weights.with_suffix('.tmp'))
    weights.with_suffix('.tmp').replace(weights)


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

    run('tools/data/make_mini.py', demo.data)
    start = time.monotonic()
    checkpoint = train(demo.config, work_dir, demo.scores)
    seconds = round(time.monotonic() - start)

    tests = {}
    for number, (label, options) in enumerate(demo.variants.items(), 1):
        tests[label], _ = test(demo.config, checkpoint, f'metrics_{number}', options)
    metrics, predictions = test(demo.config, checkpoint)
    # A detector that finds nothing reports nothing.
    values = {key: metrics.get(key, 0.0) for key in demo.scores}

    picture, curve = out / 'predictions.png', out / 'curve.png'
    places = dict(config=demo.config, predictions=predictions, picture=picture)
    run(*(arg.format_map(places) for arg in demo.picture), on_line=lambda line: None)
    curves = {key: score.label for key, score in demo.scores.items()} | demo.curves
    run(
        *('tools/visualization/training_curve.py', work_dir, curve),
        *('--metrics', *(f'{key}={label}' for key, label in curves.items())),
        *(
            ('--target', *(score.target for score in demo.scores.values()))
            * (len(demo.scores) == 1)
        ),
    )
    # Kept where the other parts and the commands below find them, whichever run they came from.
    weights = out / f'{demo.weights}.pth'
    keep_weights(checkpoint, weights)
    summary = dict(
        demo=name,
        title=demo.title,
        config=demo.config,
        metrics={
            key: dict(
                label=score.label,
                value=values[key],
                text=score.write(values[key]),
                target=score.target,
            )
            for key, score in demo.scores.items()
        },
        variants={
            label: [score.write(found[key]) for key, score in demo.scores.items() if key in found]
            for label, found in tests.items()
        },
        weights=str(weights),
        run=str(work_dir),
        pictures=[str(picture), str(curve)],
        train_seconds=seconds,
    )
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    write_index()

    print(f'\nHeld-out data: {write_scores(summary)}   ({seconds} s of training)')
    for label, texts in summary['variants'].items():
        print(f'  {label}: {"   ".join(texts)}')
    rows = {picture: 'what it predicted', curve: 'how it learnt', weights: 'the weights'}
    width = max(len(str(path)) for path in rows)
    for path, text in rows.items():
        print(f'  {path!s:{width}}   {text}')
    print('\nTry next')
    for step in demo.next_steps:
        print(f'  {step.format(config=demo.config, weights=weights)}')
    for key, score in demo.scores.items():
        if values[key] < score.target:
            raise DemoError(f'{score.write(values[key])}, expected at least {score.target:g}')


def write_scores(summary: dict) -> str:
    """The scores of a summary in one line."""
    return '   '.join(score['text'] for score in summary['metrics'].values())


def write_index() -> None:
    """Show all parts that have been run on one page."""
    sections = []
    for name in DEMOS:
        file = OUT / name / 'summary.json'
        if not file.is_file():
            continue
        summary = json.loads(file.read_text())
        targets = ', '.join(f'{score["target"]:g}' for score in summary['metrics'].values())
        variants = ''.join(
            f'<p>{html.escape(label)}: {html.escape("   ".join(texts))}</p>'
            for label, texts in summary['variants'].items()
        )
        pictures = ''.join(
            f'<img src="{Path(path).relative_to(OUT)}" alt="{Path(path).stem}">'
            for path in summary['pictures']
        )
        sections.append(
            f'<h2>{html.escape(summary["title"])}</h2>'
            f'<p><b>{html.escape(write_scores(summary))}</b> (expected at least {targets}), '
            f'{summary["train_seconds"]} s of training, <code>{summary["config"]}</code></p>'
            f'{variants}{pictures}'
        )
    style = 'body{font:16px sans-serif;max-width:75em;margin:2em auto}img{max-width:100%}'
    (OUT / 'index.html').write_text(
        '<!doctype html><meta charset="utf-8"><title>uniformer_mm: demo</title>'
        f'<style>{style}</style><h1>uniformer_mm: demo</h1>{"".join(sections)}\n'
    )


DEMOS = dict(
    cls=Demo(
        title='Classify handwritten digits on photographs',
        config='configs/mini/uniformer-mini_1xb32_digits.py',
        data='imagenet',
        scores={'accuracy/top1': Score('top-1 accuracy (%)', 95.0, '{:.1f}')},
        curves={'accuracy/top1_origin': 'without weight averaging'},
        picture=('tools/visualization/prediction_grid.py', '{predictions}', '{picture}'),
        weights='classifier',
        next_steps=(
            'python tools/test.py {config} {weights} --show-dir work_dirs/demo/cls/pictures',
            'python tools/analysis/get_flops.py configs/imagenet/uniformer-small_8xb128_in1k.py',
            'python tools/train.py configs/imagenet/uniformer-small_8xb128_in1k.py'
            '   # ImageNet: docs/data.md',
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
        picture=('tools/visualization/detection_grid.py', '{config}', '{predictions}', '{picture}'),
        weights='detector',
        next_steps=(
            'python tools/inference/detect.py {config} {weights} data/mini/coco/val2017',
            'python tools/test.py {config} {weights} --show-dir work_dirs/demo/det/pictures',
            'python tools/train.py configs/coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py'
            '   # COCO',
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
        picture=(
            *('tools/visualization/segmentation_grid.py', '{config}', '{predictions}'),
            '{picture}',
        ),
        weights='segmentation',
        next_steps=(
            'python tools/inference/segment.py {config} {weights} data/mini/ade/images/validation',
            'python tools/test.py {config} {weights} --tta   # six scales, each also mirrored',
            'python tools/train.py configs/ade20k/uniformer-s-g_upernet_8xb2-160k_ade20k-512x512.py'
            '   # ADE20K',
        ),
    ),
    pose=Demo(
        title='Find the joints of people drawn on photographs',
        config='configs/mini/td-hm_uniformer-mini_coco-people.py',
        data='pose',
        scores={'coco/AP': Score('keypoint AP', 0.5)},
        picture=('tools/visualization/pose_grid.py', '{config}', '{predictions}', '{picture}'),
        weights='pose',
        next_steps=(
            'python tools/inference/pose.py {config} {weights} data/mini/pose/val2017 --boxes '
            'data/mini/pose/person_detection_results/COCO_val2017_detections_AP_H_56_person.json',
            'python tools/test.py {config} {weights} --show-dir work_dirs/demo/pose/pictures',
            'python tools/train.py configs/coco_pose/td-hm_uniformer-s-8xb128-210e_coco-256x192.py'
            '   # COCO',
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
        picture=(
            *('tools/visualization/clip_grid.py', '{config}', '{predictions}', '{picture}'),
            *('--classes', 'data/mini/kinetics/label_map.txt'),
        ),
        weights='recognizer',
        next_steps=(
            'python tools/inference/classify_video.py {config} {weights} '
            'data/mini/kinetics/videos_val --classes data/mini/kinetics/label_map.txt',
            'python tools/train.py '
            'configs/kinetics/uniformer-small_in1k-pre_8x8x1_8xb16-100e_kinetics400-rgb.py'
            '   # Kinetics-400',
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
    try:
        for name in DEMOS if 'all' in args.demos else args.demos:
            run_demo(name)
    except DemoError as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('\ninterrupted: the same command goes on from the last checkpoint')


if __name__ == '__main__':
    main()
