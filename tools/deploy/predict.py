"""Run a file of tools/deploy/export.py on images or videos, and draw what it finds.

Needs onnxruntime, NumPy and Pillow, and PyAV for videos: no PyTorch, no OpenMMLab library, and
nothing of this project but tools/deploy/predict.py, pixels.py and pictures.py beside it. What the
network takes and gives stands in the file.

Examples:
    python tools/deploy/predict.py classifier.onnx flower.jpg
    python tools/deploy/predict.py detector.onnx photos --out found
    python tools/deploy/predict.py pose.onnx street.jpg --detector detector.onnx
    python tools/deploy/predict.py video.onnx dance.mp4
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pictures
import pixels
from PIL import Image

METADATA = 'uniformer_mm'
IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')
VIDEO_TASK = 'video classification'


class PredictError(Exception):
    """What the user can put right, in one line."""


class Found(NamedTuple):
    """What a network found.

    Attributes:
        picture: It drawn.
        prediction: It as JSON.
        text: It in a few words.
        classes: The class of each pixel, (H, W) uint8, if there is one.
    """

    picture: Image.Image
    prediction: Any
    text: str
    classes: np.ndarray | None = None


class Network:
    """An exported file.

    Args:
        path: The ONNX file.
        threads: Of the CPU; 0 for as many as it has.

    Raises:
        PredictError: If it is no file of tools/deploy/export.py.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        try:
            pixels.check_file(path)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.log_severity_level = 3
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # onnxruntime has a type for each kind of damage
            raise PredictError(f'{path} is no ONNX file that can be run: {line(error)}') from error
        text = self.session.get_modelmeta().custom_metadata_map.get(METADATA)
        if text is None:
            raise PredictError(
                f'{path} says nothing of its images and classes: expected a file of '
                'tools/deploy/export.py.'
            )
        self.meta: dict[str, Any] = json.loads(text)
        self.task: str = self.meta['task']
        self.input, self.shape = self.meta['input']['name'], self.meta['input']['shape']
        self.outputs = [output.name for output in self.session.get_outputs()]

    def step(self, name: str) -> dict[str, Any]:
        """The step of this name."""
        return next(step for step in self.meta['steps'] if step['step'] == name)

    def __call__(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by their names.

        Raises:
            OSError: If the file was made for another size.
        """
        if any(
            isinstance(s, int) and s != t for s, t in zip(self.shape, inputs.shape, strict=True)
        ):
            sizes = (' x '.join(map(str, shape[2:])) for shape in (inputs.shape, self.shape))
            raise OSError('it becomes an input of {}, the file takes {} (--size)'.format(*sizes))
        return dict(zip(self.outputs, self.session.run(None, {self.input: inputs}), strict=True))


def line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def answer(scores: np.ndarray, names: list[str]) -> tuple[dict[str, Any], str]:
    """The prediction of a classifier and it in words, of the probabilities of the classes."""
    label, shares = int(scores.argmax()), scores.tolist()
    prediction = dict(
        pred_label=label, pred_class=names[label], pred_score=shares[label], pred_scores=shares
    )
    return prediction, f'{names[label]} ({shares[label]:.1%})'


def classify(network: Network, path: Path, args: argparse.Namespace) -> Found:
    """The likeliest class of an image."""
    image = pixels.read_image(path)
    meta = network.meta
    inputs = pixels.values([pixels.apply(image, meta['steps'])], meta['values'])
    prediction, text = answer(network(inputs)['scores'][0], meta['classes'])
    return Found(pictures.labelled(image, text), prediction, text)


def segment(network: Network, path: Path, args: argparse.Namespace) -> Found:
    """The class of each pixel of an image."""
    image = pixels.read_image(path)
    meta = network.meta
    inputs = pixels.values([pixels.apply(image, meta['steps'])], meta['values'])
    logits = network(inputs)['logits'][0]
    # One map after another: all at the size of a photograph would fill the memory.
    classes, best = np.zeros(image.shape[:2], np.uint8), None
    for label, one in enumerate(logits):
        one = pixels.resize_linear(one, image.shape[:2], (0, 1))
        if best is None:
            best = one.copy()
            continue
        better = one > best
        classes[better], best[better] = label, one[better]
    found, counts = np.unique(classes, return_counts=True)
    order = np.argsort(-counts)
    shares = {meta['classes'][found[i]]: counts[i] / classes.size for i in order}
    text = ', '.join([*shares][:5]) + (', ...' if len(shares) > 5 else '')
    colours = pictures.palette(meta['palette'], len(meta['classes']))
    return Found(pictures.coloured(image, classes, colours), shares, text, classes)


class Objects(NamedTuple):
    """What a detector found in an image: boxes (N, 4) in its pixels, scores, labels, masks."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


def find_objects(network: Network, image: np.ndarray) -> Objects:
    """The objects in an image; their masks as probabilities in the boxes."""
    small = pixels.apply(image, network.meta['steps'])
    out = network(pixels.values([small], network.meta['values']))
    keep = out['scores'][0] > 0
    boxes, scores, labels, masks = (
        out[name][0][keep] for name in ('boxes', 'scores', 'labels', 'masks')
    )
    sides = np.array(small.shape[1::-1] * 2, np.float32)
    scale = sides / np.array(image.shape[1::-1] * 2, np.float32)
    boxes = np.clip(boxes, 0, sides) / scale
    return Objects(boxes, scores, labels.astype(int), masks)


def paste(mask: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probabilities (H, W) in an image of a mask (h, w) in a box."""
    framed = np.pad(mask, 1)
    for axis, (low, high) in enumerate(((box[1], box[3]), (box[0], box[2]))):
        share = (np.arange(shape[axis]) + 0.5 - low) / max(high - low, 1e-6)
        framed = pixels.sample_lines(framed, axis, share * mask.shape[axis] - 0.5 + 1)
    return framed


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask (H, W) as COCO writes it: lengths of runs, column by column, that of 0 first."""
    flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    changes = np.flatnonzero(np.diff(flat))
    counts = np.diff([0, *changes, mask.size])
    return dict(size=list(mask.shape), counts=counts.tolist())


def detect(network: Network, path: Path, args: argparse.Namespace) -> Found:
    """The objects in an image."""
    image = pixels.read_image(path)
    names, found = network.meta['classes'], find_objects(network, image)
    threshold = network.meta['mask_threshold']
    masks = [
        paste(mask, box, image.shape[:2]) >= threshold
        for mask, box in zip(found.masks, found.boxes, strict=True)
    ]
    sure = np.flatnonzero(found.scores >= args.score_thr)
    texts = [f'{names[found.labels[i]]}: {100 * found.scores[i]:.1f}' for i in sure]
    colours = pictures.palette(network.meta['palette'], len(names))
    picture = pictures.boxed(
        image, found.boxes[sure], found.labels[sure], texts, [masks[i] for i in sure], colours
    )
    prediction = dict(
        labels=found.labels.tolist(),
        scores=found.scores.tolist(),
        bboxes=found.boxes.tolist(),
        masks=[run_lengths(mask) for mask in masks],
    )
    return Found(picture, prediction, f'{len(sure)} found')


def keypoints(network: Network, crops: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (N, K, 2) in pixels of the crops, and their scores (N, K)."""
    meta = network.meta
    maps = network(pixels.values(crops, meta['values']))['heatmaps']
    if meta['flip_test']:
        flipped = [crop[:, ::-1] for crop in crops]
        turned = network(pixels.values(flipped, meta['values']))['heatmaps'][..., ::-1]
        turned = turned[:, meta['flip_indices']].copy()
        if meta['shift_heatmap']:
            turned[..., 1:] = turned[..., :-1].copy()
        maps = (maps + turned) * np.float32(0.5)
    count, number, height, width = maps.shape
    flat = maps.reshape(count, number, -1)
    scores, places = flat.max(-1), flat.argmax(-1)
    points = np.stack([places % width, places // width], -1).astype(np.float32)
    for one, map_points in zip(maps, points, strict=True):
        for heatmap, point in zip(one, map_points, strict=True):
            x, y = point.astype(int)
            # A quarter of a pixel towards the higher neighbour, as mmpose.
            if 1 < x < width - 1 and 0 < y < height:
                point[0] += np.sign(heatmap[y, x + 1] - heatmap[y, x - 1]) * 0.25
            if 1 < y < height - 1 and 0 < x < width:
                point[1] += np.sign(heatmap[y + 1, x] - heatmap[y - 1, x]) * 0.25
    points[scores <= 0] = -1
    return points * np.float32(meta['heatmap_scale']), scores


def find_people(image: np.ndarray, args: argparse.Namespace) -> list[list[float]]:
    """Boxes x1, y1, x2, y2 and scores: of the detector, of the command line, or of the image."""
    if args.detector is not None:
        found = find_objects(args.detector, image)
        keep = (found.labels == args.label) & (found.scores >= args.score_thr)
        return np.column_stack([found.boxes[keep], found.scores[keep]]).tolist()
    height, width = image.shape[:2]
    return [[*box, 1.0] for box in args.box or [[0, 0, width, height]]]


def pose(network: Network, path: Path, args: argparse.Namespace) -> Found:
    """The keypoints of the people in an image."""
    image, meta = pixels.read_image(path), network.meta
    people, step = find_people(image, args), network.step('crop_box')
    shape = (step['height'], step['width'])
    padding = network.step('pad_box')['padding']
    places = [pixels.fit_box(person, padding, shape[1] / shape[0]) for person in people]
    found = []
    if people:
        crops = [pixels.crop_box(image, *place, shape) for place in places]
        points, scores = keypoints(network, crops)
        for (center, size), one, marks in zip(places, points, scores, strict=True):
            found.append((one / shape[::-1] * size + center - 0.5 * size, marks))
    picture = pictures.skeletons(
        image,
        found,
        meta['skeleton'],
        meta['skeleton_colours'],
        meta['keypoint_colours'],
        args.keypoint_thr,
    )
    prediction = [
        dict(
            keypoints=points.tolist(),
            keypoint_scores=marks.tolist(),
            bbox=[person[:4]],
            bbox_score=person[4],
        )
        for (points, marks), person in zip(found, people, strict=True)
    ]
    return Found(picture, prediction, f'poses of {len(people)} people')


def classify_video(network: Network, path: Path, args: argparse.Namespace) -> Found:
    """The likeliest action in a video."""
    meta = network.meta
    shares, clips = [], pixels.read_frames(path, network.step('sample'))
    for frames in clips:  # one after another, which bounds the memory
        ready = [pixels.apply(frame, meta['steps']) for frame in frames]
        inputs = pixels.values(ready, meta['values']).transpose(1, 0, 2, 3)[None]
        shares.append(network(np.ascontiguousarray(inputs))['scores'][0])
    scores = np.stack(shares).astype(np.float64)
    if meta['average'] == 'score':  # of logits, which are log-probabilities up to a constant
        logits = np.log(np.maximum(scores, 1e-38)).mean(0)
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
    else:
        scores = scores.mean(0)
    prediction, text = answer(scores, meta['classes'])
    top = [(meta['classes'][i], float(scores[i])) for i in np.argsort(-scores)[: pictures.TOP]]
    frames = [frame for clip in clips for frame in clip]
    return Found(pictures.filmstrip(frames, path.name, top), prediction, text)


TASKS: dict[str, Callable[[Network, Path, argparse.Namespace], Found]] = {
    'classification': classify,
    'detection': detect,
    'segmentation': segment,
    'pose': pose,
    VIDEO_TASK: classify_video,
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('file', type=Path, help='ONNX file of tools/deploy/export.py')
    parser.add_argument('inputs', type=Path, nargs='+', help='images or videos, or folders of them')
    parser.add_argument(
        '--out', type=Path, help='write pictures and predictions into this folder; default: print'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace results there')
    parser.add_argument('--threads', type=int, default=0, help='of the CPU; default: all')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='use boxes from this score; default: %(default)s',
    )
    parser.add_argument(
        '--keypoint-thr',
        type=float,
        default=0.3,
        help='draw keypoints from this score; default: %(default)s',
    )
    people = parser.add_mutually_exclusive_group()
    people.add_argument(
        '--box',
        type=float,
        nargs=4,
        action='append',
        metavar=('X1', 'Y1', 'X2', 'Y2'),
        help='a person in pixels, for a pose file; may be repeated; default: the whole image',
    )
    people.add_argument('--detector', type=Path, help='detector file that finds the people')
    parser.add_argument(
        '--label', type=int, default=0, help="people's class of --detector; default: %(default)s"
    )
    return parser.parse_args()


def find_inputs(paths: list[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The files, and those of folders.

    Raises:
        PredictError: If a path is neither, or there is nothing in a folder.
    """
    files = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
            if not inside:
                raise PredictError(f'{path} holds no file that ends with {", ".join(suffixes)}.')
            files += inside
        elif path.suffix.lower() not in suffixes:
            raise PredictError(f'{path}: this file takes {", ".join(suffixes)}.')
        else:
            files.append(path)
    return files


def save(found: Found, path: Path, args: argparse.Namespace) -> None:
    """Write the picture and the predictions of an input.

    Raises:
        PredictError: If they are there already, or cannot be written.
    """
    suffix = '.png' if path.suffix.lower() in VIDEOS else ''
    picture = args.out / 'vis' / f'{path.name}{suffix}'
    prediction = args.out / 'preds' / f'{path.stem}.json'
    for file in (picture, prediction):
        if file.exists() and not args.overwrite:
            raise PredictError(f'{file} exists already; add --overwrite to replace it.')
    try:
        for file in (picture, prediction):
            file.parent.mkdir(parents=True, exist_ok=True)
        found.picture.save(picture)
        prediction.write_text(json.dumps(found.prediction))
        if found.classes is not None:
            Image.fromarray(found.classes).save(prediction.with_suffix('.png'))
    except OSError as error:
        raise PredictError(f'{args.out} cannot be written to: {error}.') from error


def main() -> None:
    args = parse_args()
    network = Network(args.file, args.threads)
    if network.task not in TASKS:
        raise PredictError(f'{args.file} is for {network.task!r}, which this tool does not know.')
    if (args.box or args.detector) and network.task != 'pose':
        raise PredictError(f'--box and --detector are for pose; {args.file} is for {network.task}.')
    if args.detector is not None:
        args.detector = Network(args.detector, args.threads)
        if args.detector.task != 'detection':
            raise PredictError(f'--detector: a file for {args.detector.task}, not for detection.')
    inputs = find_inputs(args.inputs, VIDEOS if network.task == VIDEO_TASK else IMAGES)
    skipped = []
    for path in inputs:
        try:
            found = TASKS[network.task](network, path, args)
        except OSError as error:
            skipped.append(f'{path}: {line(error)}')
            continue
        if args.out is not None:
            save(found, path, args)
            print(f'{path}: {found.text}', flush=True)
        else:
            print(json.dumps(dict(file=str(path), text=found.text, prediction=found.prediction)))
    if skipped:
        raise PredictError(
            '\n  '.join([f'{len(skipped)} of {len(inputs)} inputs were skipped:', *skipped])
        )


if __name__ == '__main__':
    try:
        main()
    except PredictError as error:
        sys.exit(f'error: {error}')
