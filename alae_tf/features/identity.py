"""Descriptors of faces by dlib's recognition network, from the package @vladmandic/face-api (MIT).

dlib's network (King, 2017) is a ResNet of 29 convolutions. It was trained to place descriptors of
one person within 0.6 of each other, and those of different people farther apart.
"""

import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from alae_tf.features import weights

SIDE = 150  # pixels of the network's input
PART = 32  # images at once
MEAN = (122.782, 117.001, 104.298)  # of the pixels, subtracted
SAME = 0.6  # dlib's threshold: nearer descriptors are of the same person
SIZE = 128
# Residual blocks in order, named after their channels; "down" halves the resolution.
BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)


class Identity:
    """Images of faces → descriptors, whose Euclidean distance tells people apart.

    Args:
        path: the file of weights, with its manifest beside it; default: see `weights.find`.

    Attributes:
        sha256: checksum of the file.

    Raises:
        EvaluationError: the file is missing, or is not the published file.
    """

    name, size = "identity", SIZE

    def __init__(self, path: str | None = None):
        file, self.sha256 = weights.find(weights.IDENTITY, path)
        arrays = read_arrays(file)
        self._last = tf.constant(arrays["fc"])  # [256, 128]
        self._layers = {}  # kernel and bias of each convolution with its scaling
        for name in ("conv32_down", *(f"{block}/conv{k}" for block in BLOCKS for k in (1, 2))):
            kernel, bias = (arrays[f"{name}/conv/{end}"] for end in ("filters", "bias"))
            scale, shift = (arrays[f"{name}/scale/{end}"] for end in ("weights", "biases"))
            self._layers[name] = tf.constant(kernel * scale), tf.constant(bias * scale + shift)
        self._graph = tf.function(
            self.graph, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])], autograph=False
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 1 or 3], cropped to the face → descriptors, float32 [N, 128].

        Images are resized to 150 px with a bicubic filter, antialiased if they shrink.
        """
        found = [np.zeros((0, SIZE), np.float32)]
        for start in range(0, len(images), PART):
            x = tf.cast(images[start : start + PART], tf.float32)
            x = tf.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
            x = tf.image.resize(x, (SIDE, SIDE), "bicubic", antialias=True)
            found.append(self._graph(tf.clip_by_value(x, 0.0, 255.0)).numpy())
        return np.concatenate(found)

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distances of pairs of images (see `__call__`): float32 [N]; 0 for equal images."""
        return np.linalg.norm(self(a) - self(b), axis=1)

    def graph(self, x: tf.Tensor) -> tf.Tensor:
        """Images [N, 150, 150, 3] in [0, 255] → descriptors [N, 128]."""
        x = tf.nn.relu(self.conv((x - MEAN) / 255.0, "conv32_down", down=True))  # [N, 72, 72, 32]
        x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        for block in BLOCKS:
            x = self.residual(x, block)
        return tf.reduce_mean(x, [1, 2]) @ self._last

    def residual(self, x: tf.Tensor, block: str) -> tf.Tensor:
        """x + two convolutions of x. If they halve the resolution, x is averaged down, and zeros
        fill missing rows, columns and channels."""
        down = "down" in block
        y = tf.nn.relu(self.conv(x, f"{block}/conv1", down))
        y = self.conv(y, f"{block}/conv2")
        if down:
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
            missing = x.shape[1] - y.shape[1]  # of rows and columns, 0 or 1
            y = tf.pad(y, [[0, 0], [0, missing], [0, missing], [0, 0]])
            x = tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, y.shape[3] - x.shape[3]]])
        return tf.nn.relu(x + y)

    def conv(self, x: tf.Tensor, name: str, down: bool = False) -> tf.Tensor:
        """Convolution and scaling (folded into it)."""
        kernel, bias = self._layers[name]
        return tf.nn.conv2d(x, kernel, 2 if down else 1, "VALID" if down else "SAME") + bias


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of the package's model by name, float32.

    The manifest beside the file lists them in the order in which it stores them: as float32, or as
    uint8, where the value is number · scale + min.
    """
    (group,) = json.loads(file.with_name(weights.IDENTITY_MANIFEST).read_bytes())
    data, start, arrays = file.read_bytes(), 0, {}
    for entry in group["weights"]:
        quantization = entry.get("quantization")
        stored = "u1" if quantization else "<f4"
        values = np.frombuffer(data, stored, math.prod(entry["shape"]), start)
        start += values.nbytes
        if quantization:
            values = values * float(quantization["scale"]) + float(quantization["min"])
        arrays[entry["name"]] = values.astype(np.float32).reshape(entry["shape"])
    return arrays
