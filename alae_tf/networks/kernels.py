"""Convolutions with fewer multiplications, for training on CPUs.

On a CPU, a training step is bound by the multiplications of its 3×3 convolutions. Each can be
computed as y = S(T(x) · R(k)): fixed linear maps T of the image, R of the kernel and S of the
product, with plain matrix products over the channels between them, which run at the machine's full
rate.

- A 3×3 convolution by Winograd's F(4×4, 3×3): 36 products for 16 pixels instead of 144.
- Convolution and 2×2 mean pooling: the means commute with the convolution, which is therefore
  needed only at every second pixel of the 2×2 means: 9 products per pixel instead of 36.
- Nearest-neighbour doubling and convolution: the transpose of the former.

T and S need one pass through memory: XLA compiles each into one loop. The gradient of each is its
transpose, also defined in this module, so that derivatives of every order consist of the same maps
and of matrix products.

In exact arithmetic the result is the same; in float32 Winograd's form has about four times the
rounding error of a plain convolution (1.4e-6 of the result's size), far below that of TF32 on GPUs.
Only training on CPUs uses these kernels, in the layers that `alae_tf.training.machine` chooses;
everything else uses `ops`. GPU libraries choose such algorithms on their own, and exported graphs
need plain convolutions.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def suits(x: tf.Tensor, kernel: tf.Tensor) -> bool:
    """Whether these kernels apply to a convolution."""
    return (
        x.dtype.size >= 4  # float32; float64 in checks
        and kernel.shape[0] == 3
        and x.shape[1] % 4 == x.shape[2] % 4 == 0
    )


def _linear(forward, transpose):
    """A linear map and its transpose, each the gradient of the other, compiled by XLA."""
    forward = tf.function(forward, jit_compile=True, autograph=False)
    transpose = tf.function(transpose, jit_compile=True, autograph=False)

    @tf.custom_gradient
    def apply(x):
        return forward(x), back

    @tf.custom_gradient
    def back(y):
        return transpose(y), apply

    return apply, back


def _combine(matrix: np.ndarray, parts: list[tf.Tensor]) -> list[tf.Tensor]:
    """The matrix times a column of tensors of one shape."""
    return [
        sum(part if a == 1 else part * float(a) for a, part in zip(row, parts, strict=True) if a)
        for row in matrix
    ]


def _pad(x: tf.Tensor, axis: int, before: int, after: int) -> tf.Tensor:
    paddings = [[0, 0]] * len(x.shape)
    paddings[axis] = [before, after]
    return tf.pad(x, paddings)


# Winograd's F(4, 3) along one axis, from interpolation at 0, ±p, ±q and infinity. These points gave
# the least rounding error of those tried (0, ±1, ±2 give twice as much).


def _winograd() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices that transform (the image [6, 6], the kernel [6, 3], the product [4, 6])."""
    points = [0.0, 0.75, -0.75, 1.5, -1.5]
    image, kernel, product = np.zeros((6, 6)), np.zeros((6, 3)), np.zeros((4, 6))
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        image[i, :5] = np.poly(others)[::-1]
        kernel[i] = p ** np.arange(3) / np.prod([p - q for q in others])
        product[:, i] = p ** np.arange(4)
    image[5] = np.poly(points)[::-1]
    kernel[5, 2] = product[3, 5] = 1.0
    return image, kernel, product


_IMAGE, _KERNEL, _PRODUCT = _winograd()


def _tiles(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Cuts a zero-padded axis into n tiles of 6 pixels, 4 apart, and transforms each tile:
    [..., 4n, ...] → [6, ..., n, ...]."""
    x = _pad(x, axis, 1, 3)
    x = tf.reshape(x, [*_dims(x)[:axis], x.shape[axis] // 4, 4, *_dims(x)[axis + 1 :]])
    parts = [_take(x, axis, slice(-1), i) for i in range(4)]
    parts += [_take(x, axis, slice(1, None), i) for i in range(2)]
    return tf.stack(_combine(_IMAGE, parts))


def _tiles_transposed(y: tf.Tensor, axis: int) -> tf.Tensor:
    """The transpose of `_tiles`: [6, ..., n, ...] → [..., 4n, ...]."""
    parts = _combine(_IMAGE.T, tf.unstack(y))
    own = [_pad(part, axis, 0, 1) for part in parts[:4]]
    next_ = [_pad(part, axis, 1, 0) for part in parts[4:]]
    x = tf.stack([own[0] + next_[0], own[1] + next_[1], own[2], own[3]], axis + 1)
    x = _merge(x, axis)
    return _take(x, axis, slice(1, -3))


def _pixels(m: tf.Tensor, axis: int) -> tf.Tensor:
    """[6, ..., n, ...] → [..., 4n, ...]: products to pixels."""
    return _merge(tf.stack(_combine(_PRODUCT, tf.unstack(m)), axis + 1), axis)


def _pixels_transposed(y: tf.Tensor, axis: int) -> tf.Tensor:
    """The transpose of `_pixels`."""
    y = tf.reshape(y, [*_dims(y)[:axis], y.shape[axis] // 4, 4, *_dims(y)[axis + 1 :]])
    return tf.stack(_combine(_PRODUCT.T, tf.unstack(y, axis=axis + 1)))


def _take(x: tf.Tensor, axis: int, *index) -> tf.Tensor:
    return x[(*[slice(None)] * axis, *index)]


def _dims(x: tf.Tensor) -> list:
    """The shape, with one unknown dimension as −1."""
    return [-1 if d is None else d for d in x.shape]


def _merge(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Axes `axis` and `axis + 1` as one."""
    dims = _dims(x)
    return tf.reshape(x, [*dims[:axis], dims[axis] * dims[axis + 1], *dims[axis + 2 :]])


# [N, 4h, 4w, C] ↔ [6, 6, N, h, w, C], tiles of the image
_image_tiles, _ = _linear(
    lambda x: _tiles(_tiles(x, 2), 2),
    lambda y: _tiles_transposed(_tiles_transposed(y, 2), 2),
)
# [6, 6, N, h, w, K] ↔ [N, 4h, 4w, K]
_product_pixels, _ = _linear(
    lambda m: _pixels(_pixels(m, 2), 2),
    lambda y: _pixels_transposed(_pixels_transposed(y, 2), 2),
)


def conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`ops.conv` for 3×3 kernels: Winograd's F(4×4, 3×3)."""
    _, height, width, channels = x.shape
    filters = kernel.shape[-1]
    taps = tf.constant(np.kron(_KERNEL, _KERNEL), x.dtype) @ tf.reshape(kernel, [9, -1])
    tiles = tf.reshape(_image_tiles(x), [36, -1, channels])
    products = tiles @ tf.reshape(taps, [36, channels, filters])
    return _product_pixels(tf.reshape(products, [6, 6, -1, height // 4, width // 4, filters]))


# Convolution and pooling: along one axis, the means of neighbours under the three taps of every
# second pixel.


def _means(x: tf.Tensor, axis: int) -> tf.Tensor:
    """[..., 2n, ...] → [3, ..., n, ...]: means of pixels 2i−1, 2i | 2i, 2i+1 | 2i+1, 2i+2."""
    x = _pad(x, axis, 1, 1)
    x = tf.reshape(x, [*_dims(x)[:axis], x.shape[axis] // 2, 2, *_dims(x)[axis + 1 :]])
    a, b = (_take(x, axis, slice(-1), i) for i in range(2))
    c, d = (_take(x, axis, slice(1, None), i) for i in range(2))
    return tf.stack([a + b, b + c, c + d]) * 0.5


def _means_transposed(y: tf.Tensor, axis: int) -> tf.Tensor:
    a, b, c = tf.unstack(y * 0.5)
    before = tf.stack([a, a + b], axis + 1)
    after = tf.stack([b + c, c], axis + 1)
    x = _merge(_pad(before, axis, 0, 1) + _pad(after, axis, 1, 0), axis)
    return _take(x, axis, slice(1, -1))


# [N, 2H, 2W, C] ↔ [N, H, W, 3, 3, C]
_neighbour_means, _neighbour_means_transposed = _linear(
    lambda x: tf.transpose(_means(_means(x, 1), 3), [2, 3, 4, 1, 0, 5]),
    lambda y: _means_transposed(_means_transposed(tf.transpose(y, [4, 3, 0, 1, 2, 5]), 3), 1),
)


def downsample_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`ops.downsample_conv` with 9 products per pixel instead of 16."""
    _, height, width, channels = x.shape
    means = tf.reshape(_neighbour_means(x), [-1, 9 * channels])
    y = means @ tf.reshape(kernel, [9 * channels, -1])
    return tf.reshape(y, [-1, height // 2, width // 2, kernel.shape[-1]])


def upsample_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`ops.upsample_conv` with 9 products per pixel instead of 16."""
    _, height, width, channels = x.shape
    filters = kernel.shape[-1]
    turned = tf.reshape(tf.transpose(kernel[::-1, ::-1], [2, 0, 1, 3]), [channels, -1])
    products = tf.reshape(x, [-1, channels]) @ (4.0 * turned)
    return _neighbour_means_transposed(tf.reshape(products, [-1, height, width, 3, 3, filters]))
