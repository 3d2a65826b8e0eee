"""Stateless tensor functions. Images and features are NHWC; float32 unless said otherwise."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

EPSILON_STYLE = 1e-8  # instance norm of G, and pixel norm of z
EPSILON_ENCODER = 1e-5  # instance norm of E
GROUP = 4  # images over which `minibatch_std` is taken

Blend = float | tf.Tensor  # a scalar in [0, 1]: how much of a level's own block is faded in


def check_shape(name: str, x: tf.Tensor, *expected: int) -> None:
    """Raises ValueError, with `name`, unless x has the expected shape after the batch, N."""
    if tuple(x.shape[1:]) != expected:
        want = ", ".join(map(str, ("N", *expected)))
        raise ValueError(f"{name}: got shape {list(x.shape)}, expected [{want}]")


def check_level(level: int, levels: int) -> None:
    """Raises ValueError unless the level exists."""
    if not 0 <= level < levels:
        raise ValueError(f"level: got {level}, expected 0 to {levels - 1}")


def to_unit(pixels: tf.Tensor) -> tf.Tensor:
    """Pixels [0, 255] of any dtype → float32 in [−1, 1]."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0


def to_pixels(x: tf.Tensor) -> tf.Tensor:
    """Float [−1, 1] → uint8 pixels [0, 255], rounded and clipped."""
    x = tf.cast(x, tf.float32) * 127.5 + 127.5
    return tf.cast(tf.round(tf.clip_by_value(x, 0.0, 255.0)), tf.uint8)


def scale(x: tf.Tensor, t: tf.Tensor | float) -> tf.Tensor:
    """t·x, in the dtype of x. x may be symbolic, if t is a float."""
    return x * (t if isinstance(t, float) else tf.cast(t, x.dtype))


def lerp(a: tf.Tensor, b: tf.Tensor, t: tf.Tensor | float) -> tf.Tensor:
    """a at t = 0, b at t = 1; symbolic as in `scale`."""
    return a + scale(b - a, t)


def leaky_relu(x: tf.Tensor, slope: float = 0.2) -> tf.Tensor:
    """x where positive, slope·x elsewhere. x may be symbolic."""
    return keras.ops.leaky_relu(x, slope)


def at_least_float32(x: tf.Tensor) -> tf.Tensor:
    """float16 and bfloat16 → float32; other dtypes unchanged."""
    x = tf.convert_to_tensor(x)
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


def pixel_norm(z: tf.Tensor) -> tf.Tensor:
    """z / root mean square of z, per sample. [N, latent] → the same."""
    return z * tf.math.rsqrt(tf.reduce_mean(tf.square(z), axis=-1, keepdims=True) + EPSILON_STYLE)


def instance_norm(x: tf.Tensor, epsilon: float = EPSILON_STYLE) -> tf.Tensor:
    """Each channel of each sample to mean 0 and biased variance 1. [N, H, W, C] → the same.

    Statistics in float32 or better. TFLite's XNNPACK supports this form entirely, and it does not
    lose precision, as E[x²] − mean² would.
    """
    return _normalise(*_moments(x), epsilon, x.dtype)


def split_style(x: tf.Tensor, epsilon: float = EPSILON_ENCODER) -> tuple[tf.Tensor, tf.Tensor]:
    """Features → (features without their style, style = [mean, standard deviation]).

    Args:
        x: [N, H, W, C].

    Returns:
        (instance-normalised x [N, H, W, C], style float32 [N, 2C]); the paper's Fig. 3 (left).
    """
    mean, centred, variance = _moments(x)
    # The 1e-16 keeps the gradient of a constant channel at 0 instead of 0·∞.
    style = tf.concat([mean, tf.sqrt(variance + 1e-16)], axis=-1)
    return _normalise(mean, centred, variance, epsilon, x.dtype), tf.reshape(
        style, [-1, style.shape[-1]]
    )


def _moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    x = at_least_float32(x)
    mean = _mean(x)
    centred = x - mean
    return mean, centred, _mean(tf.square(centred))


def _mean(x: tf.Tensor) -> tf.Tensor:
    """Mean over H and W, in two steps: runtimes that add a million numbers one by one would lose
    the fifth digit (ONNX Runtime at 1024 px)."""
    return tf.reduce_mean(tf.reduce_mean(x, axis=2, keepdims=True), axis=1, keepdims=True)


def _normalise(mean, centred, variance, epsilon, dtype) -> tf.Tensor:
    return tf.cast(centred * tf.math.rsqrt(variance + epsilon), dtype)


def minibatch_std(x: tf.Tensor) -> tf.Tensor:
    """Appends a channel: how much the images of a group differ. [N, …, C] → [N, …, C + 1].

    The channel is constant in a group: the (biased) standard deviation over its images, averaged
    over everything else. A group is four consecutive images, or all N if N is not a multiple of
    four. Replicas and --accumulate parts with a multiple of four images therefore give the same
    result as the whole batch. Statistics in float32 or better; N must be known when tracing.

    Reference: ProGAN, section 3; StyleGAN, whose groups of four are strided.
    """
    batch, *inner = x.shape
    group = batch if batch % GROUP else GROUP
    grouped = tf.reshape(at_least_float32(x), [batch // group, group, -1])
    # The epsilon keeps the gradient of equal images at 0 instead of 0·∞.
    std = tf.sqrt(tf.math.reduce_variance(grouped, axis=1, keepdims=True) + EPSILON_STYLE)
    std = tf.reduce_mean(std, axis=2, keepdims=True)  # [N / group, 1, 1]
    channel = std + tf.zeros([group, math.prod(inner[:-1])], std.dtype)
    channel = tf.reshape(channel, [batch, *inner[:-1], 1])
    return tf.concat([x, tf.cast(channel, x.dtype)], axis=-1)


def modulate(x: tf.Tensor, style: tf.Tensor) -> tf.Tensor:
    """x·(s₀ + 1) + s₁, the second half of AdaIN. x [N, H, W, C], style [N, 2C]."""
    style = tf.reshape(tf.cast(style, x.dtype), [-1, 1, 1, style.shape[-1]])
    scale, shift = tf.split(style, 2, axis=-1)
    return x * (scale + 1.0) + shift


def downsample2(x: tf.Tensor) -> tf.Tensor:
    """2×2 mean pooling. [N, 2H, 2W, C] → [N, H, W, C]. x may be symbolic."""
    return keras.ops.average_pool(x, 2, data_format="channels_last")


def upsample2(x: tf.Tensor) -> tf.Tensor:
    """Nearest-neighbour doubling. [N, H, W, C] → [N, 2H, 2W, C].

    By concatenation and reshape, which TFLite's delegates support, unlike resizing. x may be
    symbolic.
    """
    _, height, width, channels = x.shape
    x = keras.ops.reshape(keras.ops.concatenate([x, x], -1), [-1, height, 2 * width, channels])
    x = keras.ops.concatenate([x, x], 2)  # [N, H, 4W, C]: each row twice
    return keras.ops.reshape(x, [-1, 2 * height, 2 * width, channels])


@tf.custom_gradient
def blur(x: tf.Tensor):
    """Depthwise [1,2,1]⊗[1,2,1]/16 with zero padding. [N, H, W, C] → the same.

    The kernel is symmetric, so the gradient of blur is blur.
    """
    kernel = np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0]) / 16.0
    kernel = tf.constant(np.tile(kernel[:, :, None, None], (1, 1, x.shape[-1], 1)), x.dtype)
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME"), blur


def conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolution with zero padding and stride 1. x [N, H, W, C], kernel [k, k, C, K]."""
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def downsample_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """3×3 convolution and 2×2 mean pooling in one stride-2 convolution with a 4×4 kernel.

    Exactly `downsample2(conv(x, kernel))` with 16/36 of the multiplications.
    x [N, 2H, 2W, C], kernel [3, 3, C, K] → [N, H, W, K].
    """
    return _stride2(x, _four_shifts(kernel) * 0.25)


def upsample_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Nearest-neighbour doubling and 3×3 convolution in one 2×2 convolution of the small image.

    Exactly `conv(upsample2(x), kernel)` with 16/36 of the multiplications: any 3×3 pixels of the
    doubled image have only 2×2 distinct values, so each of the four pixels that replace a pixel has
    a 2×2 kernel of sums. TFLite's delegates support this plain convolution.
    x [N, H, W, C], kernel [3, 3, C, K] → [N, 2H, 2W, K].
    """
    return _upsample_conv(x, kernel)


@tf.custom_gradient
def _upsample_conv(x: tf.Tensor, kernel: tf.Tensor):
    def gradient(dy):  # dx is a stride-2 convolution of dy with the kernel rotated and transposed
        dkernel = _four_shifts_transposed(_stride2_kernel(dy, x))
        return _stride2(dy, _four_shifts(_turn(kernel))), _turn(dkernel)

    _, _, inputs, filters = kernel.shape
    # Along one axis, a row is (pixel of the pair, phase). Phase 0 is the odd output pixel of the
    # pair's first pixel, phase 1 the even output pixel of its second.
    sums = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]])
    folded = _mix_taps(np.kron(sums, sums), kernel)
    folded = tf.reshape(folded, [2, 2, 2, 2, inputs, filters])
    folded = tf.reshape(tf.transpose(folded, [0, 2, 4, 1, 3, 5]), [2, 2, inputs, 4 * filters])
    x_padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    y = tf.nn.depth_to_space(tf.nn.conv2d(x_padded, folded, 1, "VALID"), 2)
    return y[:, 1:-1, 1:-1], gradient  # [N, 2H, 2W, K] of [N, 2H+2, 2W+2, K]


def _turn(kernel: tf.Tensor) -> tf.Tensor:
    """The kernel of the transposed convolution: [3, 3, C, K] ↔ [3, 3, K, C], rotated by 180°."""
    return tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])


SHIFTS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]])  # [4, 3], along one axis


def _four_shifts(kernel: tf.Tensor) -> tf.Tensor:
    """The sum of the four shifted copies of a 3×3 kernel, zero-padded to 4×4.

    As one matrix product, whose gradient is also a matrix product; slices have slow gradients.
    """
    return tf.reshape(_mix_taps(np.kron(SHIFTS, SHIFTS), kernel), [4, 4, *kernel.shape[2:]])


def _four_shifts_transposed(kernel: tf.Tensor) -> tf.Tensor:
    """The transpose of `_four_shifts`: 4×4 → 3×3."""
    return tf.reshape(_mix_taps(np.kron(SHIFTS, SHIFTS).T, kernel), [3, 3, *kernel.shape[2:]])


def _mix_taps(matrix: np.ndarray, kernel: tf.Tensor) -> tf.Tensor:
    """matrix [m, n] · the n taps of a kernel [.., .., C, K] → [m, C·K]."""
    return tf.constant(matrix, kernel.dtype) @ tf.reshape(kernel, [matrix.shape[1], -1])


# The stride-2 convolution y = S(x, k) is linear in x and in k, so its derivatives of every order
# consist of three maps: S, its transpose in x, and its transpose in k. Each has the form that
# measured fastest on CPUs (docs/measurements/speed.md): both transposes are unit-stride 2×2
# convolutions between half-size images with four times the channels, which run at nearly twice the
# rate of TensorFlow's strided gradients.


@tf.custom_gradient
def _stride2(x: tf.Tensor, kernel: tf.Tensor):
    """S: 4×4 convolution with stride 2. [N, 2H, 2W, C], [4, 4, C, K] → [N, H, W, K]."""

    def gradient(dy):
        return _stride2_transposed(dy, kernel), _stride2_kernel(x, dy)

    return tf.nn.conv2d(x, kernel, 2, "SAME"), gradient


@tf.custom_gradient
def _stride2_transposed(y: tf.Tensor, kernel: tf.Tensor):
    """The transpose of S in x. [N, H, W, K], [4, 4, C, K] → [N, 2H, 2W, C]."""

    def gradient(dx):
        return _stride2(dx, kernel), _stride2_kernel(dx, y)

    _, height, width, _ = y.shape
    folded = _fold_kernel(kernel)  # [2, 2, 4C, K]
    shape = [tf.shape(y)[0], height + 1, width + 1, folded.shape[2]]
    x = tf.nn.depth_to_space(tf.nn.conv2d_transpose(y, folded, shape, 1, "VALID"), 2)
    return x[:, 1:-1, 1:-1], gradient


@tf.custom_gradient
def _stride2_kernel(x: tf.Tensor, y: tf.Tensor):
    """The transpose of S in the kernel. [N, 2H, 2W, C], [N, H, W, K] → [4, 4, C, K]."""

    def gradient(dkernel):
        return _stride2_transposed(y, dkernel), _stride2(x, dkernel)

    folded_x = tf.nn.space_to_depth(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
    folded = tf.raw_ops.Conv2DBackpropFilter(
        input=folded_x,
        filter_sizes=[2, 2, folded_x.shape[-1], y.shape[-1]],
        out_backprop=y,
        strides=[1, 1, 1, 1],
        padding="VALID",
    )
    return _unfold_kernel(folded), gradient


def _fold_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """[4, 4, C, K] → [2, 2, 4C, K], the same map on images folded by `space_to_depth`."""
    _, _, inputs, filters = kernel.shape
    kernel = tf.reshape(kernel, [2, 2, 2, 2, inputs, filters])
    return tf.reshape(tf.transpose(kernel, [0, 2, 1, 3, 4, 5]), [2, 2, 4 * inputs, filters])


def _unfold_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """[2, 2, 4C, K] → [4, 4, C, K], the inverse of `_fold_kernel`."""
    _, _, inputs, filters = kernel.shape
    kernel = tf.reshape(kernel, [2, 2, 2, 2, inputs // 4, filters])
    return tf.reshape(tf.transpose(kernel, [0, 2, 1, 3, 4, 5]), [4, 4, inputs // 4, filters])
