import numpy as np
import pytest
import tensorflow as tf

from alae_tf.networks import kernels, ops
from alae_tf.networks.layers import EqualizedConv2D
from alae_tf.official import goldens
from alae_tf.training import machine
from tests.helpers.training import assert_same_weights, pixels, train
from tests.paths import GOLDENS

CONVOLUTIONS = ["conv", "downsample_conv", "upsample_conv"]


@pytest.fixture
def everywhere(monkeypatch):
    """Training uses the kernels for any number of channels."""
    monkeypatch.setattr(machine, "SOMETIMES", 1)
    monkeypatch.setattr(machine, "ALWAYS", 1)


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), tf.float32)


def derivatives(convolution, x, kernel):
    """Of first and of second order."""
    with tf.GradientTape() as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as inner:
            inner.watch([x, kernel])
            y = tf.reduce_sum(tf.sin(convolution(x, kernel)))
        first = inner.gradient(y, [x, kernel])
        norm = sum(tf.reduce_sum(tf.square(g)) for g in first)
    return [convolution(x, kernel), *first, *outer.gradient(norm, [x, kernel])]


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("height,width", [(4, 4), (8, 12)])
def test_kernels_are_the_plain_convolutions(convolution, height, width, everywhere):
    x, kernel = normal(2, height, width, 3), 0.1 * normal(3, 3, 3, 5, seed=1)
    assert kernels.suits(x, kernel)
    plain = derivatives(getattr(ops, convolution), x, kernel)
    fast = derivatives(getattr(kernels, convolution), x, kernel)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def test_what_they_apply_to():
    x, kernel = normal(1, 8, 8, 64), normal(3, 3, 64, 64)
    assert kernels.suits(x, kernel)
    assert not kernels.suits(tf.cast(x, tf.bfloat16), tf.cast(kernel, tf.bfloat16))
    assert not kernels.suits(x, kernel[:1, :1])
    assert not kernels.suits(x[:, :6], kernel)


@pytest.mark.parametrize("winograd", [False, True])
def test_only_a_layer_that_is_asked_to_uses_them(monkeypatch, winograd):
    used = []
    monkeypatch.setattr(kernels, "conv", lambda x, kernel: used.append(1) or ops.conv(x, kernel))
    layer = EqualizedConv2D(64, 64)
    layer.winograd = winograd
    layer(normal(1, 4, 4, 64))
    assert len(used) == winograd


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_the_batch_may_be_unknown(convolution, everywhere):
    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3])])
    def fast(x):
        return getattr(kernels, convolution)(x, kernel)

    x, kernel = normal(2, 8, 8, 3), normal(3, 3, 3, 5, seed=1)
    np.testing.assert_allclose(fast(x), getattr(ops, convolution)(x, kernel), atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "style32_forward",
        pytest.param("style32_two_steps", marks=pytest.mark.slow),
        pytest.param("style32_two_steps_fade", marks=pytest.mark.slow),
    ],
)
def test_goldens_hold(name, everywhere):
    errors = dict(goldens.verify(GOLDENS / f"{name}.npz"))
    assert max(errors.values()) < 1e-4


@pytest.mark.slow
def test_two_replicas_train_with_them(small, everywhere):
    images = pixels(small, 1, 8)
    one, losses_one = train(small, tf.distribute.MirroredStrategy(["CPU:0"]), images, 1)
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    two, losses_two = train(small, strategy, images, 1)
    for a, b in zip(losses_one, losses_two, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert_same_weights(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"xla": True}])
def test_they_go_with_accumulation_and_xla(small, changes, everywhere):
    images = pixels(small, 1, 8)
    _, plain = train(small, None, images, 1)
    _, changed = train(small.replace(**changes), None, images, 1)
    for a, b in zip(plain, changed, strict=True):
        assert a == pytest.approx(b, rel=1e-3)
