"""Train, test and picture a small UniFormer on real images, on the CPU, in minutes.

    python tools/demo.py cls       # classification, what `make demo` runs
    python tools/demo.py det       # detection, what `make demo-det` runs

Each part makes the data it needs, trains with tools/train.py, tests with tools/test.py, and leaves
its pictures and a summary.json in work_dirs/demo/<part>. An interrupted demo goes on where it
stopped; a finished one is kept, and the next starts anew beside it.
"""

import argparse
import datetime
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
        scores: Validation scores and how to write them, such as ``'AP {:.3f}'``.
        epochs: Number of epochs.
    """

    TRAIN = re.compile(r'Epoch\(train\) .*\bloss: ([\d.]+)')
    VAL = re.compile(r'Epoch\(val\)\s+\[(\d+)\]')

    def __init__(self, scores: dict[str, str], epochs: int) -> None:
        self.epochs = epochs
        self.scores = [
            (re.compile(rf' {re.escape(key)}: ([\d.]+)'), form) for key, form in scores.items()
        ]
        self.losses: list[float] = []
        self.start = time.monotonic()

    def __call__(self, line: str) -> None:
        if found := self.TRAIN.search(line):
            self.losses.append(float(found[1]))
            return
        epoch = self.VAL.search(line)
        values = [score.search(line) for score, _ in self.scores]
        if epoch and all(values):
            loss = sum(self.losses) / max(len(self.losses), 1)
            elapsed = datetime.timedelta(seconds=round(time.monotonic() - self.start))
            scores = '   '.join(
                form.format(float(value[1]))
                for (_, form), value in zip(self.scores, values, strict=True)
            )
            print(
                f'  epoch {int(epoch[1]):3d} of {self.epochs}   loss {loss:.3f}   {scores}   '
                f'{elapsed}',
                flush=True,
            )
            self.losses.clear()


def next_run(folder: Path) -> Path:
    """The newest run of ``folder`` if it was interrupted, otherwise a new one."""
    runs = sorted(folder.glob('run_*'))
    if runs and not (runs[-1] / 'metrics.json').exists():
        return runs[-1]
    return folder / f'run_{len(runs) + 1:03d}'


def train(config: str, work_dir: Path, scores: dict[str, str]) -> Path:
    """Train, or go on with it; returns the last checkpoint."""
    from mmengine.config import Config

    import uniformer_mm  # noqa: F401  (mends what is broken in the libraries)

    epochs = Config.fromfile(config).train_cfg.max_epochs
    run(
        *('tools/train.py', config, '--work-dir', work_dir, '--resume'),
        on_line=Progress(scores, epochs),
    )
    return work_dir / f'epoch_{epochs}.pth'


def test(config: str, checkpoint: Path) -> tuple[dict[str, float], Path]:
    """Test; returns the metrics and the file of predictions, both beside the checkpoint."""
    work_dir = checkpoint.parent
    metrics, predictions = work_dir / 'metrics.json', work_dir / 'predictions.pkl'
    run(
        *('tools/test.py', config, checkpoint, '--work-dir', work_dir / 'test', '--overwrite'),
        *('--dump', predictions, '--out', metrics),
        on_line=lambda line: None,
    )
    return json.loads(metrics.read_text()), predictions


def keep_weights(checkpoint: Path, weights: Path) -> None:
    """Copy the weights of a run to a place that does not change with it."""
    shutil.copyfile(checkpoint, weights.with_suffix('.tmp'))
    weights.with_suffix('.tmp').replace(weights)


def demo_cls() -> None:
    """Classify handwritten digits on photographs."""
    config = 'configs/mini/uniformer-mini_1xb32_digits.py'
    metric, target = 'accuracy/top1', 95.0
    out = OUT / 'cls'
    work_dir = next_run(out)
    start = time.monotonic()

    run('tools/data/make_mini.py', 'imagenet')
    checkpoint = train(config, work_dir, {metric: f'{metric} {{:5.1f}} %'})
    trained = time.monotonic()
    metrics, predictions = test(config, checkpoint)
    accuracy = metrics[metric]

    run('tools/visualization/prediction_grid.py', predictions, out / 'predictions.png')
    run(
        *('tools/visualization/training_curve.py', work_dir, out / 'curve.png'),
        *('--metrics', f'{metric}=averaged weights', f'{metric}_origin=raw weights'),
        *('--target', target),
    )
    # The other demos start from these weights, whichever run they came from.
    weights = out / 'classifier.pth'
    keep_weights(checkpoint, weights)
    summary = dict(
        demo='cls',
        config=config,
        metric=metric,
        value=round(accuracy, 2),
        target=target,
        weights=str(weights),
        run=str(work_dir),
        pictures=[str(out / 'predictions.png'), str(out / 'curve.png')],
        train_seconds=round(trained - start),
    )
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')

    print(f"""
Top-1 accuracy on held-out digits: {accuracy:.1f} %   ({trained - start:.0f} s of training)
  {out / 'predictions.png'}   what it predicted
  {out / 'curve.png'}         how it learnt
  {weights}    the weights

Try next
  python tools/test.py {config} {weights} --show-dir work_dirs/demo/cls/pictures
  python tools/analysis/get_flops.py configs/imagenet/uniformer-small_8xb128_in1k.py
  python tools/train.py configs/imagenet/uniformer-small_8xb128_in1k.py   # ImageNet: docs/data.md
  make demo-det   # the same network finds and outlines digits
""")
    if accuracy < target:
        raise DemoError(f'the accuracy is {accuracy:.1f} %, expected at least {target:g} %')


def demo_det() -> None:
    """Find and outline handwritten digits on photographs, from the classifier's weights."""
    config = 'configs/mini/mask-rcnn_uniformer-mini-h_fpn_coco-digits.py'
    targets = {'coco/bbox_mAP_50': 0.6, 'coco/segm_mAP_50': 0.5}
    labels = dict(zip(targets, ('box AP50', 'mask AP50'), strict=True))
    out = OUT / 'det'
    if not (OUT / 'cls/classifier.pth').exists():
        print('There is no classifier to start from yet: the classification demo comes first.')
        demo_cls()
    work_dir = next_run(out)
    start = time.monotonic()

    run('tools/data/make_mini.py', 'coco')
    checkpoint = train(config, work_dir, {key: f'{labels[key]} {{:.3f}}' for key in targets})
    trained = time.monotonic()
    metrics, predictions = test(config, checkpoint)
    # mmdet reports nothing at all when nothing was found.
    values = {key: metrics.get(key, 0.0) for key in targets}

    run(
        *('tools/visualization/detection_grid.py', config, predictions, out / 'detections.png'),
        on_line=lambda line: None,
    )
    run(
        *('tools/visualization/training_curve.py', work_dir, out / 'curve.png'),
        *('--metrics', *(f'{key}={label}' for key, label in labels.items())),
    )
    weights = out / 'detector.pth'
    keep_weights(checkpoint, weights)
    summary = dict(
        demo='det',
        config=config,
        metrics={key: dict(value=round(values[key], 3), target=targets[key]) for key in targets},
        weights=str(weights),
        run=str(work_dir),
        pictures=[str(out / 'detections.png'), str(out / 'curve.png')],
        train_seconds=round(trained - start),
    )
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')

    scores = '   '.join(f'{labels[key]} {value:.3f}' for key, value in values.items())
    print(f"""
Held-out images: {scores}   ({trained - start:.0f} s of training)
  {out / 'detections.png'}   what it found
  {out / 'curve.png'}        how it learnt
  {weights}     the weights

Try next
  python tools/inference/detect.py {config} {weights} data/mini/coco/val2017
  python tools/test.py {config} {weights} --show-dir work_dirs/demo/det/pictures
  python tools/train.py configs/coco_det/mask-rcnn_uniformer-s-h14_fpn_amp-1x_coco.py   # COCO
""")
    for key, target in targets.items():
        if values[key] < target:
            raise DemoError(f'{labels[key]} is {values[key]:.3f}, expected at least {target:g}')


DEMOS: dict[str, Callable[[], None]] = dict(cls=demo_cls, det=demo_det)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('demos', nargs='+', choices=list(DEMOS), help='parts to run, in this order')
    args = parser.parse_args()
    os.chdir(REPO)
    try:
        for name in args.demos:
            DEMOS[name]()
    except DemoError as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('\ninterrupted: the same command goes on from the last finished epoch')


if __name__ == '__main__':
    main()
