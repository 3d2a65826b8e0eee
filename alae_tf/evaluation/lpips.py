"""LPIPS: a perceptual distance, and the features behind it (Zhang et al., CVPR 2018, v0.1, VGG)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from alae_tf.evaluation import weights

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of the authors, for [−1, 1]
WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # VGG16's convolutions
POOLED = (2, 4, 7, 10)  # convolutions with 2×2 max pooling before them
TAKEN = (1, 3, 6, 9, 12)  # convolutions whose maps are compared
LEAST = 32  # pixels; smaller images are enlarged to it, or pooling would leave nothing
PIXELS = 2**19  # of images computed at once, which bounds the memory


class Lpips:
    """VGG16 up to its last convolution, and LPIPS' weights of its channels.

    Args:
        path: file of weights; default: where `weights.find` finds it.

    Attributes:
        name: "lpips"; sha256: of the file.
        size: length of a feature vector.

    Raises:
        EvaluationError: the file is not there, or is another one.
    """

    name, size = "lpips", sum(WIDTHS[i] for i in TAKEN)

    def __init__(self, path: str | None = None):
        file, self.sha256 = weights.find(weights.LPIPS_VGG, path)
        arrays = weights.read_lpips(file)
        self._convolutions = [
            tuple(tf.constant(arrays[f"VGG16_0/Conv_{i}/{part}"]) for part in ("kernel", "bias"))
            for i in range(len(WIDTHS))
        ]
        self._heads = [
            tf.constant(arrays[f"NetLinLayer_{i}/Conv_0/kernel"].reshape(-1))
            for i in range(len(TAKEN))
        ]
        images = tf.TensorSpec([None, None, None, 3])
        self._distance = tf.function(self.distance_graph, input_signature=[images, images])
        self._features = tf.function(self.features_graph, input_signature=[images])

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """LPIPS of pairs.

        Args:
            a, b: uint8, or float in [−1, 1]: [N, H, W, 1 or 3]. Grey is taken as RGB.

        Returns:
            float32 [N], 0 for equal images.
        """
        parts = [self._distance(_prepare(a[p]), _prepare(b[p])).numpy() for p in _parts(a)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of images as `distance` takes them: float32 [N, size].

        The unit vectors that LPIPS compares, averaged over each of the five maps and scaled so that
        a map without any variation gives entries of mean square 1: comparable in size to
        Inception's, as the kernel distance's polynomial wants them.
        """
        parts = [self._features(_prepare(images[p])).numpy() for p in _parts(images)]
        return np.concatenate(parts) if parts else np.zeros((0, self.size), np.float32)

    def distance_graph(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """LPIPS of float images [N, H, W, 3] in [−1, 1] → [N]; it has a gradient."""
        pairs = zip(self.maps(a), self.maps(b), self._heads, strict=True)
        return tf.add_n(
            [tf.reduce_mean(tf.linalg.matvec((x - y) ** 2, head), [1, 2]) for x, y, head in pairs]
        )

    def features_graph(self, x: tf.Tensor) -> tf.Tensor:
        """As `__call__`, of float images [N, H, W, 3] in [−1, 1]."""
        means = [tf.reduce_mean(each, [1, 2]) for each in self.maps(x)]
        return tf.concat(means, axis=1) * (self.size / len(TAKEN)) ** 0.5

    def maps(self, x: tf.Tensor) -> list[tf.Tensor]:
        """The five maps of unit vectors."""
        x, maps = (x - SHIFT) / SCALE, []
        for i, (kernel, bias) in enumerate(self._convolutions):
            if i in POOLED:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
            if i in TAKEN:
                length = tf.sqrt(tf.reduce_sum(x**2, -1, keepdims=True))
                maps.append(x / (length + 1e-10))
        return maps


def _prepare(images: np.ndarray) -> tf.Tensor:
    """Float RGB in [−1, 1], of LEAST pixels at least."""
    x = tf.cast(images, tf.float32)
    x = x / 127.5 - 1.0 if images.dtype == np.uint8 else x
    x = tf.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
    if min(x.shape[1:3]) < LEAST:
        scale = -(-LEAST // min(x.shape[1:3]))
        x = tf.repeat(tf.repeat(x, scale, axis=1), scale, axis=2)
    return x


def _parts(images: np.ndarray) -> list[slice]:
    """What is computed at once."""
    size = max(1, PIXELS // max(LEAST**2, images.shape[1] * images.shape[2]))
    return [slice(start, start + size) for start in range(0, len(images), size)]
