"""The Inception network of published FIDs, with its weights of 2015.

Keras' InceptionV3 has other weights and preprocessing, so distances computed with it are not FIDs.
"""

import numpy as np
import tensorflow as tf

from alae_tf.features import weights
from alae_tf.features.pytorch_file import read_pytorch

SIDE = 299
PART = 16  # images at once
EPSILON = 1e-3  # of its batch normalisation


class Inception:
    """Images → the 2048 features before the last layer ("pool3").

    Images are resized to 299 px as for published values, with the bilinear resizing of TensorFlow
    1: pixel corners aligned at the top left, no antialiasing.

    Args:
        path: the file of weights; default: in the cache. `sha256` is its checksum.

    Raises:
        EvaluationError: the file is missing, or is not the published file.
        PytorchFileError: the file cannot be read.
    """

    name, size = "inception", 2048

    def __init__(self, path: str | None = None):
        file, self.sha256 = weights.find(weights.INCEPTION, path)
        arrays = read_pytorch(file).data
        self._layers = {}  # kernel [h, w, in, out] and bias of convolutions with normalisations
        for name in (key.removesuffix(".conv.weight") for key in arrays if ".conv." in key):
            kernel = arrays[f"{name}.conv.weight"].transpose(2, 3, 1, 0)
            scale, shift, mean, variance = (
                arrays[f"{name}.bn.{part}"].astype(np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = scale / np.sqrt(variance + EPSILON)
            weighted = tf.constant(kernel * scale, tf.float32)
            self._layers[name] = weighted, tf.constant(shift - mean * scale, tf.float32)
        self._graph = tf.function(
            self.graph, input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3])], autograph=False
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 1 or 3] → features, float32 [N, 2048]."""
        features = [np.zeros((0, self.size), np.float32)]
        for start in range(0, len(images), PART):
            x = tf.cast(images[start : start + PART], tf.float32)
            x = tf.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
            x = tf.compat.v1.image.resize_bilinear(x, (SIDE, SIDE))
            features.append(self._graph((x - 128.0) / 128.0).numpy())
        return np.concatenate(features)

    def graph(self, x: tf.Tensor) -> tf.Tensor:
        """Images [N, 299, 299, 3] in [−1, 1) → features [N, 2048]."""
        conv = self.conv
        x = conv(x, "Conv2d_1a_3x3", 2, "VALID")
        x = conv(conv(x, "Conv2d_2a_3x3", padding="VALID"), "Conv2d_2b_3x3")
        x = conv(max_pool(x), "Conv2d_3b_1x1")
        x = max_pool(conv(x, "Conv2d_4a_3x3", padding="VALID"))  # [N, 35, 35, 192]
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.block(x, block, ("5x5", 2), ("3x3dbl", 3))
        x = self.halve(x, "Mixed_6a", ("3x3", 0), ("3x3dbl", 2))  # [N, 17, 17, 768]
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.block(x, block, ("7x7", 3), ("7x7dbl", 5))
        x = self.halve(x, "Mixed_7a", ("3x3", 1), ("7x7x3", 3))  # [N, 8, 8, 1280]
        x = self.last(x, "Mixed_7b", average_pool)
        x = self.last(x, "Mixed_7c", lambda x: tf.nn.max_pool2d(x, 3, 1, "SAME"))
        return tf.reduce_mean(x, [1, 2])

    def conv(self, x: tf.Tensor, name: str, stride: int = 1, padding: str = "SAME") -> tf.Tensor:
        """Convolution, batch normalisation (folded into it) and ReLU."""
        kernel, bias = self._layers[name]
        return tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding) + bias)

    def chain(self, x: tf.Tensor, branch: str, length: int) -> tf.Tensor:
        """Successive convolutions, named branch_1 to branch_length."""
        for i in range(length):
            x = self.conv(x, f"{branch}_{i + 1}")
        return x

    def block(self, x: tf.Tensor, b: str, *chains: tuple[str, int]) -> tf.Tensor:
        """Chains between a convolution and a pooling; each chain is given by name and length."""
        branches = [self.chain(x, f"{b}.branch{name}", length) for name, length in chains]
        pooled = self.conv(average_pool(x), f"{b}.branch_pool")
        return tf.concat([self.conv(x, f"{b}.branch1x1"), *branches, pooled], -1)

    def halve(self, x: tf.Tensor, b: str, *chains: tuple[str, int]) -> tf.Tensor:
        """Like `block`; a further convolution of each chain halves the resolution."""
        branches = []
        for name, length in chains:
            branch = f"{b}.branch{name}"
            last = f"{branch}_{length + 1}" if length else branch
            branches.append(self.conv(self.chain(x, branch, length), last, 2, "VALID"))
        return tf.concat([*branches, max_pool(x)], -1)

    def last(self, x: tf.Tensor, b: str, pool) -> tf.Tensor:
        single = self.conv(x, f"{b}.branch3x3_1")
        double = self.chain(x, f"{b}.branch3x3dbl", 2)
        branches = [
            self.conv(x, f"{b}.branch1x1"),
            *(self.conv(single, f"{b}.branch3x3_{end}") for end in ("2a", "2b")),
            *(self.conv(double, f"{b}.branch3x3dbl_{end}") for end in ("3a", "3b")),
            self.conv(pool(x), f"{b}.branch_pool"),
        ]
        return tf.concat(branches, -1)


def max_pool(x: tf.Tensor) -> tf.Tensor:
    """3×3, stride 2."""
    return tf.nn.max_pool2d(x, 3, 2, "VALID")


def average_pool(x: tf.Tensor) -> tf.Tensor:
    """3×3, over the pixels inside the image."""
    return tf.nn.avg_pool2d(x, 3, 1, "SAME")
