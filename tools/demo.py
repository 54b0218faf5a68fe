"""Train, test and picture a small UniFormer on real images, on the CPU, in minutes.

    python tools/demo.py cls       # what `make demo` runs

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
    """Turns mmengine's training log into one line per epoch."""

    TRAIN = re.compile(r'Epoch\(train\) .*\bloss: ([\d.]+)')

    def __init__(self, metric: str, epochs: int) -> None:
        self.epochs = epochs
        self.metric = metric
        self.val = re.compile(rf'Epoch\(val\)\s+\[(\d+)\].* {re.escape(metric)}: ([\d.]+)')
        self.losses: list[float] = []
        self.start = time.monotonic()

    def __call__(self, line: str) -> None:
        if found := self.TRAIN.search(line):
            self.losses.append(float(found[1]))
        elif found := self.val.search(line):
            loss = sum(self.losses) / max(len(self.losses), 1)
            elapsed = datetime.timedelta(seconds=round(time.monotonic() - self.start))
            print(
                f'  epoch {int(found[1]):3d} of {self.epochs}   loss {loss:.3f}   '
                f'{self.metric} {float(found[2]):5.1f} %   {elapsed}',
                flush=True,
            )
            self.losses.clear()


def next_run(folder: Path) -> Path:
    """The newest run of ``folder`` if it was interrupted, otherwise a new one."""
    runs = sorted(folder.glob('run_*'))
    if runs and not (runs[-1] / 'metrics.json').exists():
        return runs[-1]
    return folder / f'run_{len(runs) + 1:03d}'


def demo_cls() -> None:
    """Classify handwritten digits on photographs."""
    config = 'configs/mini/uniformer-mini_1xb32_digits.py'
    metric, target = 'accuracy/top1', 95.0
    out = OUT / 'cls'
    work_dir = next_run(out)
    start = time.monotonic()

    run('tools/data/make_mini.py', 'imagenet')

    from mmengine.config import Config

    import uniformer_mm  # noqa: F401  (mends what is broken in the libraries)

    epochs = Config.fromfile(config).train_cfg.max_epochs
    run(
        *('tools/train.py', config, '--work-dir', work_dir, '--resume'),
        on_line=Progress(metric, epochs),
    )
    trained = time.monotonic()

    checkpoint = work_dir / f'epoch_{epochs}.pth'
    metrics_file, predictions_file = work_dir / 'metrics.json', work_dir / 'predictions.pkl'
    run(
        *('tools/test.py', config, checkpoint, '--work-dir', work_dir / 'test', '--overwrite'),
        *('--dump', predictions_file, '--out', metrics_file),
        on_line=lambda line: None,
    )
    accuracy = json.loads(metrics_file.read_text())[metric]

    run('tools/visualization/prediction_grid.py', predictions_file, out / 'predictions.png')
    run(
        *('tools/visualization/training_curve.py', work_dir, out / 'curve.png'),
        *('--metrics', f'{metric}=averaged weights', f'{metric}_origin=raw weights'),
        *('--target', target),
    )
    # The other demos start from these weights, whichever run they came from.
    weights = out / 'classifier.pth'
    shutil.copyfile(checkpoint, weights.with_suffix('.tmp'))
    weights.with_suffix('.tmp').replace(weights)
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
""")
    if accuracy < target:
        raise DemoError(f'the accuracy is {accuracy:.1f} %, expected at least {target:g} %')


DEMOS: dict[str, Callable[[], None]] = dict(cls=demo_cls)


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
