"""What the tools that run one model on a user's files share."""

import argparse
import errno
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.infer import BaseInferencer
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from uniformer_mm import cli
from uniformer_mm.checkpoints import load_model, through_safe_reader
from uniformer_mm.datasets.transforms.image_check import check_pixels
from uniformer_mm.engine import fold_backbone
from uniformer_mm.files import write_beside

KINDS = dict(
    image=('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'),
    video=('.mp4', '.avi', '.mov', '.mkv', '.webm'),
)
CAMERA = re.compile(r'camera:(\d+)')
# What is wrong with the place of a result, and will be with that of the next.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR)
TOP = 5  # classes that are named
# The files that become of each input: a picture or film, then its predictions.
Results = dict[Path, list[Path]]


class Found(NamedTuple):
    """What a model found in an image.

    Attributes:
        picture: The image and what was found, (H, W, 3) uint8 BGR.
        prediction: What a JSON file is to hold of it.
        text: It in a few words.
        classes: The class of each pixel, (H, W) uint8, if the model tells them apart.
        shares: How sure the model is of the likeliest classes, or how many of the pixels are of
            each, by their names.
    """

    picture: np.ndarray
    prediction: Any
    text: str
    classes: np.ndarray | None = None
    shares: dict[str, float] | None = None


# Of the pixels of an image, (H, W, 3) uint8 BGR, and the input that it is or comes from.
Find = Callable[[np.ndarray, Path], Found]
# Of a file.
Look = Callable[[Path], Found]


def make_parser(
    description: str,
    model: str,
    out_dir: str,
    predictions: str | None = None,
    inputs: str = 'image, video, folder of them, or camera:0',
    files: bool = True,
) -> argparse.ArgumentParser:
    """A parser with the arguments of all such tools.

    Args:
        description: Help text of the tool.
        model: What the config must be of, such as ``'a detector'``.
        out_dir: Default folder of the results.
        predictions: What ``--save-predictions`` writes. Defaults to None, for no such option.
        inputs: What may be given as input. Defaults to what :func:`run` takes.
        files: Whether files go in and come out; otherwise the arguments are those of the model
            alone. Defaults to True.
    """
    parser = argparse.ArgumentParser(
        prog=None if files else f'{Path(sys.argv[0]).name} --model',
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help=f'config file of {model}')
    parser.add_argument('checkpoint', help='its trained weights: a file, or a name or address')
    parser.add_argument('--device', help='e.g. cpu or cuda:1; default: a GPU if there is one')
    parser.set_defaults(save_predictions=False)
    if files:
        parser.add_argument('input', type=Path, help=inputs)
        parser.add_argument(
            '--out-dir', type=Path, default=Path(out_dir), help='default: %(default)s'
        )
        parser.add_argument(
            '--overwrite', action='store_true', help='replace results that are there already'
        )
    if files and predictions is not None:
        parser.add_argument(
            '--save-predictions',
            action='store_true',
            help=f'also write {predictions} to DIR/preds/NAME.json, of a video frame by frame',
        )
    cli.add_fast_option(parser)
    cli.add_options(parser)
    return parser


def read_config(args: argparse.Namespace, scope: str | None = None) -> Config:
    """The config, after a look at the checkpoint's header, before the model is built.

    Args:
        args: What :func:`make_parser` parsed.
        scope: The library that the config must be for. Defaults to any.

    Raises:
        UserError: If the config is not for library ``scope``, or the checkpoint is damaged.
    """
    cfg, warnings = cli.load_config(args.config, args.cfg_options, scope)
    for warning in warnings:
        print(warning, file=sys.stderr)
    cli.peek_checkpoint(args.checkpoint)
    return cfg


def find_inputs(path: Path, *kinds: str) -> list[Path]:
    """The file itself, or what a folder has of some ``KINDS`` in the order of the names.

    Other entries of the folder are counted on standard error; folders in it are not entered.

    Raises:
        UserError: If there is none, or the folder cannot be read.
    """
    names, extensions = ' or '.join(kinds), sum((KINDS[kind] for kind in kinds), ())
    if not path.is_dir():
        if not path.exists():
            raise cli.UserError(f'There is no {names} or folder {path}.')
        if path.suffix.lower() not in extensions:
            raise cli.UserError(f'{path} is no {names} by its name ({", ".join(extensions)}).')
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise cli.UserError(f'{path} cannot be read: {error.strerror}.') from error
    files = [entry for entry in entries if entry.suffix.lower() in extensions]
    if not files:
        raise cli.UserError(f'{path} holds no {names} ({", ".join(extensions)}).')
    if others := [entry for entry in entries if entry not in set(files)]:
        folders = sum(entry.is_dir() for entry in others)
        print(
            f'{path}: left out are {folders} folders and {len(others) - folders} other entries.',
            file=sys.stderr,
        )
    return files


def plan_results(args: argparse.Namespace, films: bool = True, label_maps: bool = False) -> Results:
    """The inputs, and the files that are to become of them.

    Args:
        args: What :func:`make_parser` parsed.
        films: Whether images go in too and videos become films. Otherwise only videos go in and
            become pictures. Defaults to True.
        label_maps: Also save the classes of the pixels of images. Defaults to False.

    Raises:
        UserError: If there is no input, or a result is there already.
    """
    if films and CAMERA.fullmatch(str(args.input)) and not args.input.exists():
        inputs = [args.input]
    else:
        inputs = find_inputs(args.input, *KINDS if films else ['video'])
    results = {}
    for path in inputs:
        stem = path.stem.replace(':', '')
        name = path.name if not is_film(path) else f'{stem}.mp4' if films else f'{path.name}.png'
        results[path] = [args.out_dir / 'vis' / name]
        if args.save_predictions:
            results[path].append(args.out_dir / f'preds/{stem}.json')
            if label_maps and not is_film(path):
                results[path].append(args.out_dir / f'preds/{stem}.png')
    refuse_to_overwrite(results, args.overwrite)
    return results


def is_film(path: Path) -> bool:
    """Whether an input is a video or a camera."""
    return path.suffix.lower() not in KINDS['image']


def make_folders(results: Results) -> None:
    """Make the folders of results and see that files can be written there.

    Raises:
        UserError: If one cannot be used.
    """
    for folder in dict.fromkeys(file.parent for files in results.values() for file in files):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise cli.UserError(f'{folder} cannot be written to: {error.strerror}.') from error


def refuse_to_overwrite(results: Results, overwrite: bool) -> None:
    """Stop before any work if a result is there already, or two results would be one file.

    Raises:
        UserError: Names the first such file.
    """
    seen = set()
    for result in (file for files in results.values() for file in files):
        if result in seen:
            raise cli.UserError(f'Two of the inputs would be written to {result}: rename one.')
        seen.add(result)
        if result.exists() and not overwrite:
            raise cli.UserError(f'{result} exists already; add --overwrite to replace it.')


def check_file(path: Path) -> None:
    """See that there is a file with something in it.

    Raises:
        OSError: If not; says what is there.
    """
    if path.is_symlink() and not path.exists():
        raise OSError(f'a link to {path.readlink()}, which does not exist')
    if not path.is_file():
        raise OSError('a folder' if path.is_dir() else 'no file')
    if path.stat().st_size == 0:
        raise OSError('the file is empty')


def read_image(path: Path) -> np.ndarray:
    """Pixels (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it cannot be read, or not all of it.
    """
    check_file(path)
    check_pixels(path)
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise OSError('damaged, or no image')
    return pixels


def run(results: Results, find: Find) -> None:
    """Write a picture of what a model finds in every image, frame of a video or of a camera.

    Args:
        results: Of :func:`plan_results`.
        find: Runs the model on an image.

    Raises:
        UserError: Of :func:`run_each`.
    """

    def run_one(path: Path, progress: Progress) -> str:
        if is_film(path):
            return write_film(path, *results[path], find=find, progress=progress)
        return write_picture(path, *results[path], look=at_images(find))

    run_each(results, run_one)


def at_images(find: Find) -> Look:
    """Let what looks at pixels look at the files of images."""
    return lambda path: find(read_image(path), path)


def write_picture(path: Path, target: Path, *predictions: Path, look: Look) -> str:
    """Write the picture and predictions of a file; returns what there is to say about it."""
    found = look(path)
    if not cv2.imwrite(str(target), found.picture):
        raise cli.UserError(f'{target} cannot be written.')
    for file in predictions:
        if file.suffix == '.json':
            mmengine.dump(found.prediction, file)
        else:
            Image.fromarray(found.classes).save(file)
    return f'{target}: {found.text}'


def write_film(
    video: Path, target: Path, *predictions: Path, find: Find, progress: Progress
) -> str:
    """Write the film and predictions of a video, or of a camera until the tool is interrupted.

    Returns:
        What there is to say about it.

    Raises:
        OSError: If it has no frames, or frames of several sizes.
    """
    camera = None if video.exists() else CAMERA.fullmatch(str(video))
    if camera is None:
        check_file(video)
    capture = cv2.VideoCapture(int(camera[1]) if camera else str(video))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25
    expected = 0 if camera else int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = progress.track(read_frames(capture), expected or None, description=video.name)
    found, count, start = [], 0, time.monotonic()
    with write_beside(target) as unfinished, closing(Film(unfinished, fps)) as film:
        try:
            for count, frame in enumerate(frames, 1):
                picture, prediction, *_ = find(frame, video)
                # A camera does not wait: its pictures stand as long as they took.
                film.add(picture, round((time.monotonic() - start) * fps) if camera else count)
                if predictions:
                    found.append(prediction)
        except KeyboardInterrupt:
            if camera is None or film.length == 0:
                raise
    for file in predictions:
        mmengine.dump(found, file)
    missing = f' of the {expected} that it announces: cut off?' if count < expected else ''
    return f'{target}: {count} frames{missing}'


class Film:
    """An mp4 of pictures of one size.

    Args:
        file: The file to write.
        fps: Pictures in a second.
    """

    def __init__(self, file: Path, fps: float) -> None:
        self.file, self.fps, self.length = file, fps, 0
        self.writer, self.shape = cv2.VideoWriter(), None

    def add(self, picture: np.ndarray, until: int) -> None:
        """Append a picture, once and then until the film is so many pictures long.

        Raises:
            OSError: If it cannot be written, or has another size than the first.
        """
        if self.shape is None:
            codec, self.shape = cv2.VideoWriter.fourcc(*'mp4v'), picture.shape
            if not self.writer.open(str(self.file), codec, self.fps, picture.shape[1::-1]):
                raise OSError('the results cannot be written as a video')
        if picture.shape != self.shape:  # the writer would leave it out without a word
            raise OSError('a frame has another size than those before it')
        for _ in range(self.length, max(self.length + 1, until)):
            self.writer.write(picture)
            self.length += 1

    def close(self) -> None:
        """Finish the file."""
        self.writer.release()


def read_frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Frames of a video, (H, W, 3) uint8 BGR.

    Raises:
        OSError: If it has none.
    """
    found, frame = capture.read()
    if not found:
        raise OSError('no frame can be read')
    while found:
        yield frame
        found, frame = capture.read()


def run_each(results: Results, run: Callable[[Path, Progress], str]) -> None:
    """Run something on every input and print what it returns; go on where one cannot be used.

    What was begun of the results of such an input is taken away. A terminal shows the progress.

    Args:
        results: Inputs and their results.
        run: Raises any error if the file cannot be used.

    Raises:
        UserError: At the end, lists those that were skipped; at once if results cannot be written.
    """
    make_folders(results)
    skipped = []
    bars = dict(disable=not sys.stderr.isatty(), redirect_stdout=sys.stdout.isatty())
    with Progress(console=Console(stderr=True), transient=True, **bars) as progress:
        for path, files in progress.track(results.items(), description='inputs'):
            new = [file for file in files if not file.exists()]
            try:
                print(run(path, progress), flush=True)
            except Exception as error:  # decoders and networks fail in many ways
                for file in new:
                    file.unlink(missing_ok=True)
                if isinstance(error, cli.UserError):
                    raise
                if isinstance(error, OSError) and error.errno in UNWRITABLE:
                    raise cli.UserError(
                        f'The results of {path} cannot be written: {error}.'
                    ) from error
                if cli.debugging():
                    traceback.print_exc()
                skipped.append(f'{path}: {reason(error)}')
    if skipped:
        raise cli.UserError(
            f'{len(skipped)} of {len(results)} inputs were skipped:\n  ' + '\n  '.join(skipped)
        )


def reason(error: Exception) -> str:
    """What an error says, in one line; its type where that is not plain."""
    line = next((line for line in str(error).splitlines() if line.strip()), '').strip()
    if line and type(error) is OSError:
        return line
    return f'{type(error).__name__}: {line}' if line else type(error).__name__


def load(
    inferencer: type[BaseInferencer], cfg: Config, args: argparse.Namespace, **kwargs: Any
) -> BaseInferencer:
    """A library's inferencer, but weights that do not fit are refused, not left out.

    Classes of official Kinetics files are numbered as the config's ``CheckpointGuardHook`` says.
    Its ``allow_new_head`` is for fine-tuning and plays no part: an untrained head tells nothing.

    Args:
        inferencer: The library's class.
        cfg: Its config.
        args: What :func:`make_parser` parsed.
        **kwargs: Arguments of the class.
    """

    class StrictInferencer(inferencer):
        def _init_model(self, cfg: Config, weights: str, device: str) -> nn.Module:
            return super()._init_model(cfg, through_safe_reader(weights), device)

        def _load_weights_to_model(self, model: nn.Module, weights: dict, cfg: Config) -> None:
            load_model(model, weights, args.checkpoint, class_order=cli.class_order_of(cfg))
            super()._load_weights_to_model(model, weights, cfg)

    cfg.model.backbone.init_cfg = None  # the checkpoint has all weights
    if 'visualizer' in cfg:
        cfg.visualizer.vis_backends = None  # the tools and inferencers write the pictures
    model = StrictInferencer(cfg, args.checkpoint, device=args.device, **kwargs)
    model.show_progress = False
    if args.fast is not None:
        fold_backbone(model.model, **args.fast)
    return model


def draw(inferencer: BaseInferencer, image: np.ndarray, sample: Any, **look: Any) -> np.ndarray:
    """A library's picture of a prediction; image and picture are (H, W, 3) uint8 BGR."""
    visualizer = inferencer.visualizer
    visualizer.add_datasample('', image[..., ::-1], sample, draw_gt=False, **look)
    return visualizer.get_image()[..., ::-1]


def describe(scores: Tensor, names: Sequence[str]) -> tuple[dict[str, Any], str, dict[str, float]]:
    """The prediction of a classifier, with the names of mmpretrain's inferencer.

    Returns:
        It, the likeliest class in words, and the shares of the likeliest classes.
    """
    shares = scores.tolist()
    label, *others = scores.topk(min(TOP, len(names))).indices.tolist()
    prediction = dict(
        pred_label=label, pred_class=names[label], pred_score=shares[label], pred_scores=shares
    )
    top = {names[number]: shares[number] for number in (label, *others)}
    return prediction, f'{names[label]} ({shares[label]:.1%})', top
