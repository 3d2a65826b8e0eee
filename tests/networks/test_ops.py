import numpy as np
import pytest
import tensorflow as tf

from alae_tf.networks import ops
from tests.paths import GOLDENS


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


def close(a, b, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def test_instance_norm_is_that_of_tensorflow_addons():
    golden = np.load(GOLDENS / "tensorflow_addons_0.23.npz")
    close(ops.instance_norm(golden["instance_norm/input"]), golden["instance_norm/output"])


def test_blur_of_a_point():
    x = np.zeros((1, 3, 3, 1), np.float32)
    x[0, 1, 1, 0] = 16
    close(ops.blur(x)[0, :, :, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    corner = np.zeros((1, 3, 3, 1), np.float32)
    corner[0, 0, 0, 0] = 16
    close(ops.blur(corner)[0, :, :, 0], [[4, 2, 0], [2, 1, 0], [0, 0, 0]])


def test_minibatch_std_by_hand():
    # Groups of four: pixel 0 has 1, 1, 5, 5 (deviation 2), pixel 1 is the same in all; then zeros.
    x = np.zeros((8, 1, 2, 1), np.float32)
    x[:4, 0, 0, 0], x[:4, 0, 1, 0] = [1, 1, 5, 5], 3
    y = ops.minibatch_std(x)
    assert y.shape == (8, 1, 2, 2)
    close(y[..., :1], x)
    close(y[:4, ..., 1], np.full((4, 1, 2), 1.0), 1e-4)  # the mean of 2 and 0
    close(y[4:, ..., 1], np.zeros((4, 1, 2)), 2e-4)  # √1e-8
    # Six are one group: of 0, 0, 0, 6, 6, 6 the deviation is 3.
    flat = np.array([0, 0, 0, 6, 6, 6], np.float32)[:, np.newaxis]
    close(ops.minibatch_std(flat)[:, 1], np.full(6, 3.0))
    assert ops.minibatch_std(tf.zeros([4, 2], tf.float16)).dtype == tf.float16


def test_minibatch_std_of_equal_images_has_a_finite_slope():
    x = tf.ones([4, 2, 2, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(ops.minibatch_std(x)[..., 3:])
    close(tape.gradient(y, x), np.zeros((4, 2, 2, 3)))


def test_resampling_by_hand():
    x = tf.reshape(tf.range(4.0), [1, 2, 2, 1])
    close(ops.upsample2(x)[0, :, :, 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    close(ops.downsample2(x)[0, 0, 0, 0], 1.5)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_fused_resampling_is_exact(size):
    x, kernel = normal(2, size, size, 3), normal(3, 3, 3, 5, seed=1)
    close(ops.downsample_conv(x, kernel), ops.downsample2(ops.conv(x, kernel)))
    close(ops.upsample_conv(x, kernel), ops.conv(ops.upsample2(x), kernel))


@pytest.mark.parametrize(
    ("fused", "plain"),
    [
        (ops.downsample_conv, lambda x, k: ops.downsample2(ops.conv(x, k))),
        (ops.upsample_conv, lambda x, k: ops.conv(ops.upsample2(x), k)),
    ],
    ids=["down", "up"],
)
def test_fused_resampling_has_the_plain_derivatives_of_first_and_second_order(fused, plain):
    x, kernel, tangent = normal(2, 4, 4, 3), normal(3, 3, 3, 5, seed=1), None

    def derivatives(function):
        nonlocal tangent
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch([x, kernel])
                y = tf.reduce_sum(tf.sin(function(x, kernel)))
            first = inner.gradient(y, [x, kernel])
            norm = sum(tf.reduce_sum(tf.square(g) * tf.cos(g)) for g in first)
        return [*first, *outer.gradient(norm, [x, kernel])]

    for a, b in zip(derivatives(fused), derivatives(plain), strict=True):
        close(a / tf.reduce_max(tf.abs(b)), b / tf.reduce_max(tf.abs(b)))


def test_split_style_takes_mean_and_deviation():
    x = tf.constant([1.0, 3.0, 1.0, 3.0], shape=[1, 2, 2, 1])
    features, style = ops.split_style(x)
    close(style, [[2.0, 1.0]])
    close(features[0, :, :, 0], [[-1, 1], [-1, 1]])


def test_gradient_of_a_constant_channel_is_finite():
    x = tf.ones([1, 4, 4, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        features, style = ops.split_style(x)
        y = tf.reduce_sum(features) + tf.reduce_sum(style)
    close(tape.gradient(y, x), np.full((1, 4, 4, 1), 1 / 16))


def test_modulate_and_pixel_norm():
    x = tf.ones([1, 1, 1, 2]) * 3.0
    close(ops.modulate(x, tf.constant([[1.0, 0.0, 10.0, 20.0]])), [[[[16.0, 23.0]]]])
    close(ops.pixel_norm(tf.constant([[3.0, 4.0]])), np.array([[3.0, 4.0]]) / 12.5**0.5)


def test_pixels_and_unit_range():
    pixels = np.arange(256, dtype=np.uint8)
    close(ops.to_unit(pixels)[0], -1.0)
    close(ops.to_unit(pixels)[255], 1.0)
    assert (ops.to_pixels(ops.to_unit(pixels)).numpy() == pixels).all()
    assert ops.to_pixels(tf.constant([-3.0, 3.0])).numpy().tolist() == [0, 255]
