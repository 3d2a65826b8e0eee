"""LPIPS: a perceptual distance, and the features behind it (Zhang et al., CVPR 2018, v0.1)."""

import typing

import numpy as np
import tensorflow as tf

from alae_tf.features import weights

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # the authors', for [−1, 1]


class Net(typing.NamedTuple):
    """A network up to its last convolution."""

    file: str  # of its weights
    prefix: str  # of its arrays in the file
    widths: tuple[int, ...]  # channels of the convolutions
    pooled: tuple[int, ...]  # indices of convolutions that follow a max pooling
    window: int  # of the poolings; their stride is 2
    taken: tuple[int, ...]  # indices of convolutions whose maps are compared
    first: tuple[int, int]  # stride and padding of the first convolution; the others keep the size


VGG = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
ALEX = (64, 192, 384, 256, 256)
NETS = {
    "vgg": Net(weights.LPIPS_VGG, "VGG16_0", VGG, (2, 4, 7, 10), 2, (1, 3, 6, 9, 12), (1, 1)),
    "alex": Net(weights.LPIPS_ALEX, "AlexNet_0", ALEX, (1, 2), 3, (0, 1, 2, 3, 4), (4, 2)),
}
LEAST = 32  # pixels per side; smaller images are enlarged, since pooling would leave nothing
PIXELS = 2**19  # computed at once, which bounds the memory


class Lpips:
    """A network up to its last convolution, with LPIPS' weights of its channels.

    Args:
        net: "vgg" (VGG16, used by all metrics) or "alex".

    Raises:
        EvaluationError: the file is missing, or is not the published file.
    """

    name = "lpips"

    def __init__(self, net: str = "vgg"):
        self._net = chosen = NETS[net]
        self.size = sum(chosen.widths[i] for i in chosen.taken)
        file, self.sha256 = weights.find(chosen.file)
        arrays = weights.read_lpips(file)
        self._convolutions = [
            tuple(tf.constant(arrays[f"{chosen.prefix}/Conv_{i}/{p}"]) for p in ("kernel", "bias"))
            for i in range(len(chosen.widths))
        ]
        self._heads = [
            tf.constant(arrays[f"NetLinLayer_{i}/Conv_0/kernel"].reshape(-1))
            for i in range(len(chosen.taken))
        ]
        images = tf.TensorSpec([None, None, None, 3])
        self._distance = tf.function(self.distance_graph, input_signature=[images, images])
        self._features = tf.function(self.features_graph, input_signature=[images])

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """LPIPS of pairs of images, uint8 or float in [−1, 1], [N, H, W, 1 or 3]: float32 [N], 0
        for equal images. Grey images become RGB."""
        parts = [self._distance(prepare(a[p]), prepare(b[p])).numpy() for p in _parts(a)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Features of images (see `distance`): float32 [N, size].

        They are the unit vectors that LPIPS compares, averaged over each of the five maps. They are
        scaled to a mean square of 1 for a constant map, about the size of Inception's features, for
        which the polynomial of the kernel distance was chosen.
        """
        parts = [self._features(prepare(images[p])).numpy() for p in _parts(images)]
        return np.concatenate(parts) if parts else np.zeros((0, self.size), np.float32)

    def distance_graph(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """LPIPS of float images [N, H, W, 3] in [−1, 1] → [N]; differentiable."""
        pairs = zip(self.maps(a), self.maps(b), self._heads, strict=True)
        return tf.add_n(
            [tf.reduce_mean(tf.linalg.matvec((x - y) ** 2, head), [1, 2]) for x, y, head in pairs]
        )

    def features_graph(self, x: tf.Tensor) -> tf.Tensor:
        """Features of float images [N, H, W, 3] in [−1, 1]; see `__call__`."""
        means = [tf.reduce_mean(each, [1, 2]) for each in self.maps(x)]
        return tf.concat(means, axis=1) * (self.size / len(self._net.taken)) ** 0.5

    def maps(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Five maps of unit vectors, each [N, h, w, channels]."""
        net, x, maps = self._net, (x - SHIFT) / SCALE, []
        for i, (kernel, bias) in enumerate(self._convolutions):
            if i in net.pooled:
                x = tf.nn.max_pool2d(x, net.window, 2, "VALID")
            stride, pad = net.first if i == 0 else (1, kernel.shape[0] // 2)
            padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding) + bias)
            if i in net.taken:
                length = tf.sqrt(tf.reduce_sum(x**2, -1, keepdims=True))
                maps.append(x / (length + 1e-10))
        return maps


def prepare(images: np.ndarray | tf.Tensor | tf.Variable) -> tf.Tensor:
    """Images (see `Lpips.distance`) → float RGB in [−1, 1], at least `LEAST` pixels per side."""
    x = tf.cast(images, tf.float32)
    x = x / 127.5 - 1.0 if images.dtype == np.uint8 else x
    x = tf.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
    if min(x.shape[1:3]) < LEAST:
        scale = -(-LEAST // min(x.shape[1:3]))
        x = tf.repeat(tf.repeat(x, scale, axis=1), scale, axis=2)
    return x


def _parts(images: np.ndarray) -> list[slice]:
    """Slices of images that are computed at once."""
    size = max(1, PIXELS // max(LEAST**2, images.shape[1] * images.shape[2]))
    return [slice(start, start + size) for start in range(0, len(images), size)]
