"""The Inception network of published FIDs, with its weights of 2015.

Keras' InceptionV3 has other weights and preprocessing, so distances computed with it are not FIDs.
"""

import numpy as np
import tensorflow as tf

from alae_tf.features import weights
from alae_tf.features.pytorch_file import read_pytorch
from alae_tf.features.weights import EvaluationError

SIDE = 299
PART = 16  # images at once
EPSILON = 1e-3  # of its batch normalisation


class Inception:
    """Images → the 2048 features before the last layer ("pool3").

    Images are resized to 299 px as for published values, with the bilinear resizing of TensorFlow
    1: pixel corners aligned at the top left, no antialiasing.

    Args:
        path: the file of weights; default: in the cache. `sha256` is its checksum.
        arrays: the arrays of such a file instead, for tests.

    Raises:
        EvaluationError: the file is missing, or is not the published file.
        PytorchFileError: the file cannot be read.
    """

    name, size = "inception", 2048

    def __init__(self, path: str | None = None, arrays: dict[str, np.ndarray] | None = None):
        if arrays is None:
            file, self.sha256 = weights.find(weights.INCEPTION, path)
            contents: dict[str, np.ndarray] = read_pytorch(file).data
        else:
            contents, self.sha256 = arrays, "given"
        self._layers = folded(contents)
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
            x = self.block_a(x, block)
        x = self.block_b(x, "Mixed_6a")  # [N, 17, 17, 768]
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.block_c(x, block)
        x = self.block_d(x, "Mixed_7a")  # [N, 8, 8, 1280]
        x = self.block_e(x, "Mixed_7b", average_pool)
        x = self.block_e(x, "Mixed_7c", lambda x: tf.nn.max_pool2d(x, 3, 1, "SAME"))
        return tf.reduce_mean(x, [1, 2])

    def conv(self, x: tf.Tensor, name: str, stride: int = 1, padding: str = "SAME") -> tf.Tensor:
        """Convolution, batch normalisation (folded into it) and ReLU."""
        kernel, bias = self._layers[name]
        return tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding) + bias)

    def chain(self, x: tf.Tensor, block: str, branch: str, *steps: str) -> tf.Tensor:
        """Successive convolutions, named block.branch_step for each step."""
        for step in steps:
            x = self.conv(x, f"{block}.{branch}_{step}")
        return x

    def block_a(self, x: tf.Tensor, b: str) -> tf.Tensor:
        branches = [
            self.conv(x, f"{b}.branch1x1"),
            self.chain(x, b, "branch5x5", "1", "2"),
            self.chain(x, b, "branch3x3dbl", "1", "2", "3"),
            self.conv(average_pool(x), f"{b}.branch_pool"),
        ]
        return tf.concat(branches, -1)

    def block_b(self, x: tf.Tensor, b: str) -> tf.Tensor:
        double = self.chain(x, b, "branch3x3dbl", "1", "2")
        branches = [
            self.conv(x, f"{b}.branch3x3", 2, "VALID"),
            self.conv(double, f"{b}.branch3x3dbl_3", 2, "VALID"),
            max_pool(x),
        ]
        return tf.concat(branches, -1)

    def block_c(self, x: tf.Tensor, b: str) -> tf.Tensor:
        branches = [
            self.conv(x, f"{b}.branch1x1"),
            self.chain(x, b, "branch7x7", "1", "2", "3"),
            self.chain(x, b, "branch7x7dbl", "1", "2", "3", "4", "5"),
            self.conv(average_pool(x), f"{b}.branch_pool"),
        ]
        return tf.concat(branches, -1)

    def block_d(self, x: tf.Tensor, b: str) -> tf.Tensor:
        narrow = self.conv(x, f"{b}.branch3x3_1")
        wide = self.chain(x, b, "branch7x7x3", "1", "2", "3")
        branches = [
            self.conv(narrow, f"{b}.branch3x3_2", 2, "VALID"),
            self.conv(wide, f"{b}.branch7x7x3_4", 2, "VALID"),
            max_pool(x),
        ]
        return tf.concat(branches, -1)

    def block_e(self, x: tf.Tensor, b: str, pool) -> tf.Tensor:
        single = self.conv(x, f"{b}.branch3x3_1")
        double = self.chain(x, b, "branch3x3dbl", "1", "2")
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


def folded(arrays: dict[str, np.ndarray]) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """PyTorch's arrays → (kernel [h, w, in, out], bias) of each convolution and normalisation;
    raises EvaluationError if they are not those of this network."""
    layers = {}
    try:
        for key, kernel in arrays.items():
            name, _, end = key.rpartition(".conv.")
            if end == "weight":
                scale, shift, mean, variance = (
                    arrays[f"{name}.bn.{part}"].astype(np.float64)
                    for part in ("weight", "bias", "running_mean", "running_var")
                )
                scale = scale / np.sqrt(variance + EPSILON)
                kernel = kernel.transpose(2, 3, 1, 0) * scale
                bias = shift - mean * scale
                layers[name] = (tf.constant(kernel, tf.float32), tf.constant(bias, tf.float32))
    except (KeyError, ValueError, AttributeError) as error:
        raise EvaluationError(f"{weights.INCEPTION}: not FID's network ({error}).") from None
    return layers
