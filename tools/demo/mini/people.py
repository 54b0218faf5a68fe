"""Keypoints in COCO's format: drawn people on photographs, handwritten digits between them.

A figure is seen from the front or, without a face, from behind, so that left and right can be told.
What another figure or a digit covers is labelled but not visible (1); what lies outside the image,
and the face of a figure seen from behind, is not labelled (0). Some people are too small for any
keypoint, as in COCO.
"""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from .coco_files import CocoFile, outline
from .drawing import Sketch, paint, place

DETECTIONS = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
SIDES = (160, 208)
HEIGHT = (64, 130)  # of a person in pixels
TINY_HEIGHT = (16, 24)
PEOPLE = (1, 3)
DIGITS = (1, 4)
DIGIT_EXTENT = (16, 40)

# COCO's order. Left is the person's own: on the right of the image for one who faces it.
NAMES = (
    *('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear'),
    *('left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist'),
    *('left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle'),
)
SKELETON = (
    *((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)),
    *((8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)),
)
FACE = slice(0, 3)

# Body plan in heights of the person.
SHOULDERS, HIPS, TORSO, NECK, HEAD = 0.115, 0.07, 0.29, 0.125, 0.075
UPPER_ARM, FOREARM, THIGH, SHIN = 0.155, 0.15, 0.235, 0.235
FINE = 4  # drawn this much larger, then shrunk


class Figure(NamedTuple):
    """A person to be drawn.

    Attributes:
        joints: The 17 keypoints in pixels, (17, 2) as x, y.
        height: From head to foot if standing upright, in pixels.
        is_frontal: Whether the face is seen.
        colours: Skin, hair, shirt and trousers: RGB in [0, 1].
    """

    joints: np.ndarray
    height: float
    is_frontal: bool
    colours: tuple[np.ndarray, ...]


def _direction(angle: float) -> np.ndarray:
    """Unit vector ``angle`` degrees from straight down towards positive x."""
    return np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])


def random_figure(height: float, rng: np.random.Generator) -> Figure:
    """A person in a random pose and clothes, the hips around the origin."""
    turn = rng.uniform(0.75, 1.0)  # a body turned sideways is narrower
    lean = rng.uniform(-12, 12)
    up, across = -_direction(lean), np.array([np.cos(np.radians(lean)), -np.sin(np.radians(lean))])
    neck = TORSO * up
    head = neck + NECK * -_direction(lean + rng.uniform(-12, 12))
    gaze = rng.uniform(-0.02, 0.02)
    is_frontal = bool(rng.random() < 0.85)

    # By name, first for the side on the right of the image, then for the other.
    sides = []
    for sign in (1, -1):
        shoulder, hip = neck + sign * turn * SHOULDERS * across, sign * turn * HIPS * across
        arm = rng.uniform(5, 150)
        elbow = shoulder + UPPER_ARM * _direction(sign * arm + lean)
        wrist = elbow + FOREARM * _direction(sign * (arm + rng.uniform(-60, 110)) + lean)
        leg = rng.uniform(0, 40)
        knee = hip + THIGH * _direction(sign * leg)
        ankle = knee + SHIN * _direction(sign * (leg - rng.uniform(0, 45)))
        eye = head + np.array([sign * 0.028 + gaze, -0.012])
        ear = head + np.array([sign * 0.066, 0.0])
        sides.append((eye, ear, shoulder, elbow, wrist, hip, knee, ankle))
    if not is_frontal:
        sides.reverse()
    nose = head + np.array([1.3 * gaze, 0.012])
    joints = np.array([nose, *(side[i] for i in range(8) for side in sides)])

    hues = rng.random(2)
    shirt, trousers = (
        np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.4, 0.9), value))
        for hue, value in zip(hues, (rng.uniform(0.5, 1.0), rng.uniform(0.2, 0.6)), strict=True)
    )
    skin = np.array([0.96, 0.78, 0.64]) * rng.uniform(0.55, 1.0)
    hair = np.array([0.35, 0.22, 0.12]) * rng.uniform(0.2, 1.3)
    return Figure(joints * height, height, is_frontal, (skin, hair, shirt, trousers))


def draw(figure: Figure, image: np.ndarray) -> np.ndarray:
    """Draw a figure onto ``image``, (H, W, 3) floats in [0, 1], in place.

    Returns:
        What it covers: (H, W) floats in [0, 1].
    """
    margin = 0.15 * figure.height
    left, top = np.maximum(figure.joints.min(0) - margin, 0).astype(int)
    right, bottom = np.minimum(figure.joints.max(0) + margin, image.shape[1::-1]).astype(int)
    alpha = np.zeros(image.shape[:2])
    if right > left and bottom > top:
        window = slice(top, bottom), slice(left, right)
        moved = figure._replace(joints=figure.joints - (left, top))
        drawing = _Drawing(moved, (bottom - top, right - left))
        colour, alpha[window] = drawing.shrink()
        image[window] += colour - alpha[window][..., None] * image[window]
    return alpha


class _Drawing:
    """A figure on black, larger than it will be, and which pixels it covers."""

    def __init__(self, figure: Figure, shape: tuple[int, int]) -> None:
        large = shape[0] * FINE, shape[1] * FINE
        self.shape = shape
        self.unit = figure.height * FINE
        self.colour = np.zeros((*large, 3), np.float32)
        self.cover = np.zeros(large, np.uint8)
        self._draw(figure)

    def shrink(self) -> tuple[np.ndarray, np.ndarray]:
        """Colours times cover (H, W, 3) and cover (H, W), floats in [0, 1], at their true size."""
        return tuple(
            cv2.resize(pixels, self.shape[::-1], interpolation=cv2.INTER_AREA)
            for pixels in (self.colour, np.float32(self.cover) / 255)
        )

    def _fill(self, where: list[np.ndarray], width: float, colour: np.ndarray) -> None:
        """A dot at one point, a line between two or a polygon, ``width`` body heights thick, with
        a dark rim."""
        corners = np.array([np.round(point * 16).astype(int) for point in where])
        rim = min(0.024, 0.4 * width)
        for thickness, tone in ((width + rim, 0.25 * colour), (width, colour)):
            size = max(round(thickness * self.unit), 1)
            for target, value in ((self.colour, tone.tolist()), (self.cover, 255)):
                if len(where) == 1:
                    cv2.circle(target, tuple(corners[0].tolist()), size * 8, value, -1, 8, 4)
                elif len(where) > 2:
                    cv2.fillPoly(target, [corners], value, 8, 4)
                cv2.polylines(target, [corners], True, value, size, 8, 4)

    def _draw(self, figure: Figure) -> None:
        points = figure.joints * FINE
        skin, hair, shirt, trousers = figure.colours
        nose = points[0]
        eyes, ears, shoulders, elbows, wrists, hips, knees, ankles = points[1:].reshape(8, 2, 2)
        head, neck = ears.mean(0), shoulders.mean(0)
        down = np.array([0, 0.012 * self.unit])

        def draw_arms() -> None:
            for shoulder, elbow, wrist in zip(shoulders, elbows, wrists, strict=True):
                self._fill([elbow, wrist], 0.036, skin)
                self._fill([shoulder, elbow], 0.05, shirt * 0.85)
                self._fill([wrist], 0.045, skin)

        for hip, knee, ankle in zip(hips, knees, ankles, strict=True):
            self._fill([knee, ankle], 0.055, trousers)
            self._fill([hip, knee], 0.065, trousers)
            self._fill([ankle], 0.06, trousers * 0.4)
        if not figure.is_frontal:
            draw_arms()
        self._fill([neck, head], 0.05, skin)
        self._fill([*shoulders, *hips[::-1]], 0.06, shirt)
        if figure.is_frontal:
            draw_arms()
        for ear in ears:
            self._fill([ear], 0.035, skin)
        self._fill([head - down], 0.14, hair)
        if figure.is_frontal:
            self._fill([head + down], 0.115, skin)
            for eye in eyes:
                self._fill([eye], 0.022, np.zeros(3))
            self._fill([nose], 0.02, skin * 0.6)


def arrange(shape: tuple[int, int], rng: np.random.Generator) -> list[Figure]:
    """People for an image of ``shape``, from back to front, that do not hide each other."""
    figures, centers = [], []
    for height in np.sort(rng.uniform(*HEIGHT, rng.integers(*PEOPLE, endpoint=True))):
        for _ in range(20):
            figure = random_figure(height, rng)
            lower, upper = figure.joints.min(0), figure.joints.max(0)
            size = upper - lower
            # Up to an eighth of a person may lie outside the image.
            corner = rng.uniform(-size / 8, np.array(shape[::-1]) - size * 7 / 8)
            middle = corner + size / 2
            if all(abs(middle - c)[0] > 0.45 * (size[0] + s[0]) / 2 + 12 for c, s in centers):
                figures.append(figure._replace(joints=figure.joints - lower + corner))
                centers.append((middle, size))
                break
    return figures


def label(figure: Figure, visible: np.ndarray) -> np.ndarray:
    """Keypoints as COCO has them: (17, 3) of x, y and 0, 1 or 2; pixel centers are integers."""
    height, width = visible.shape
    x, y = figure.joints.T
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = (np.clip(v.astype(int), 0, n - 1) for v, n in ((x, width), (y, height)))
    flags = np.where(visible[row, column], 2, 1) * is_inside
    if not figure.is_frontal:
        flags[FACE] = 0
    # Pixel i covers i to i + 1.
    return np.column_stack([(x - 0.5).round(2), (y - 0.5).round(2), flags]) * (flags > 0)[:, None]


def random_detections(
    annotations: list[dict], shape: tuple[int, int], rng: np.random.Generator
) -> list[dict]:
    """What a person detector might find in one image: boxes that are a little off, a few that are
    missed and a few that are wrong."""
    found = []
    for annotation in annotations:
        if rng.random() < 0.03:
            continue
        x, y, w, h = annotation['bbox']
        dx, dy, dw, dh = rng.normal(0, 0.03, 4)
        box = [x + dx * w, y + dy * h, w * (1 + dw), h * (1 + dh)]
        found.append((box, rng.uniform(0.7, 1.0)))
    if rng.random() < 0.4:
        size = rng.uniform(20, 80, 2)
        corner = rng.uniform(0, np.array(shape[::-1]) - size)
        found.append(([*corner, *size], rng.uniform(0.02, 0.4)))
    return [dict(bbox=[round(float(v), 2) for v in box], score=float(s)) for box, s in found]


def write_pose(root: Path, split: str, total: int, sketch: Sketch) -> None:
    """Write ``<split>2017/<number>.jpg``, ``annotations/person_keypoints_<split>2017.json`` and,
    for validation, the people that a detector found, ``person_detection_results/*.json``."""
    rng, file, detections = sketch.rng, CocoFile(root, split), []
    for number in range(1, total + 1):
        shape = sketch.shape(SIDES)
        image = sketch.background(shape)
        num_behind = int(rng.integers(*DIGITS, endpoint=True))
        digits = [
            sketch.draw(next(sketch.glyphs)[0], int(rng.integers(*DIGIT_EXTENT)))
            for _ in range(num_behind + 1)
        ]
        taken = np.zeros(shape, bool)
        for ink in digits[:num_behind]:
            if corner := place(ink, taken, rng):
                paint(image, ink, *corner, rng)

        figures = arrange(shape, rng)
        if rng.random() < 0.15:
            tiny = random_figure(rng.uniform(*TINY_HEIGHT), rng)
            place_at = rng.uniform(20, np.array(shape[::-1]) - 20)
            figures.insert(0, tiny._replace(joints=tiny.joints + place_at))
        covers = [draw(figure, image) > 0.5 for figure in figures]
        front = np.zeros(shape, bool)
        if rng.random() < 0.5:  # a digit in front of somebody's joint
            ink = digits[-1]
            joint = figures[rng.integers(len(figures))].joints[rng.integers(len(NAMES))]
            room = np.array(shape) - ink.shape
            top, left = np.clip(joint[::-1] - np.array(ink.shape) / 2, 0, room).astype(int)
            paint(image, ink, top, left, rng)
            front[top : top + ink.shape[0], left : left + ink.shape[1]] = ink > 0.5

        people = []
        for figure, cover in zip(reversed(figures), reversed(covers), strict=True):
            visible = cover & ~front
            front |= cover
            keypoints = label(figure, visible)
            if figure.height < HEIGHT[0]:
                keypoints[:] = 0
            if polygons := outline(visible):
                known = int((keypoints[:, 2] > 0).sum())
                labels = dict(num_keypoints=known, keypoints=keypoints.ravel().tolist())
                people.append(file.add_object(number, 1, polygons, **labels))
        detections += [
            dict(image_id=number, category_id=1, **found)
            for found in random_detections(people, shape, rng)
        ]
        file.add_image(number, image)
    person = dict(id=1, name='person', supercategory='person', keypoints=NAMES, skeleton=SKELETON)
    file.write('person_keypoints', 'Drawn people on photographs', [person])
    if split == 'val':
        (root / DETECTIONS).parent.mkdir()
        (root / DETECTIONS).write_text(json.dumps(detections))
