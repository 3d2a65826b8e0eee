"""One check for all networks and layers: shapes, config round trip, eager = graph, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from alae_tf.networks.discriminator import Discriminator, ImageDiscriminator
from alae_tf.networks.encoder import DenseEncoder, Encoder, EncoderBlock, PlainBlock
from alae_tf.networks.generator import Generator, GeneratorBlock
from alae_tf.networks.layers import EqualizedConv2D, EqualizedDense
from alae_tf.networks.mapping import MappingNetwork
from alae_tf.networks.mlp import MLPDiscriminator, MLPEncoder, MLPGenerator

SIZES = dict(levels=3, start_channels=4, max_channels=8, latent_size=6, image_channels=1)
MLP_BODY = dict(image_size=6, image_channels=1, hidden_size=16)
MLP = MLP_BODY | dict(latent_size=5)


def normal(*shape):
    return tf.random.stateless_normal(shape, [len(shape), 1])


CASES = {
    "dense": (lambda p: EqualizedDense(5, 3), [normal(2, 5)], {}, [(2, 3)]),
    "conv": (lambda p: EqualizedConv2D(2, 3, dtype=p), [normal(2, 8, 8, 2)], {}, [(2, 8, 8, 3)]),
    "conv_1x1": (
        lambda p: EqualizedConv2D(2, 3, 1, use_bias=True, dtype=p),
        [normal(2, 8, 8, 2)],
        {},
        [(2, 8, 8, 3)],
    ),
    "conv_down": (
        lambda p: EqualizedConv2D(2, 3, sampling="down", dtype=p),
        [normal(2, 8, 8, 2)],
        {},
        [(2, 4, 4, 3)],
    ),
    "conv_up": (
        lambda p: EqualizedConv2D(2, 3, sampling="up", dtype=p),
        [normal(2, 8, 8, 2)],
        {},
        [(2, 16, 16, 3)],
    ),
    "encoder_block": (
        lambda p: EncoderBlock(4, 8, 6, dtype=p),
        [normal(2, 8, 8, 4)],
        {},
        [(2, 4, 4, 8), (2, 6)],
    ),
    "plain_block": (
        lambda p: PlainBlock(4, 8, dtype=p),
        [normal(2, 8, 8, 4)],
        {},
        [(2, 4, 4, 8)],
    ),
    "plain_block_minibatch_std": (
        lambda p: PlainBlock(4, 8, minibatch_std=True, dtype=p),
        [normal(2, 4, 4, 4)],
        {},
        [(2, 2, 2, 8)],
    ),
    "generator_block": (
        lambda p: GeneratorBlock(8, 4, 6, dtype=p),
        [normal(2, 4, 4, 8)],
        {"styles": [normal(2, 6), normal(2, 6)]},
        [(2, 8, 8, 4)],
    ),
    "F": (lambda p: MappingNetwork(6, 3), [normal(2, 6)], {}, [(2, 6)]),
    "D": (lambda p: Discriminator(6), [normal(2, 6)], {}, [(2,)]),
    "E": (lambda p: Encoder(**SIZES, dtype=p), [normal(2, 16, 16, 1)], {}, [(2, 6)]),
    "E_level_1": (
        lambda p: Encoder(**SIZES, dtype=p),
        [normal(2, 8, 8, 1)],
        {"level": 1, "blend": 0.3},
        [(2, 6)],
    ),
    "E_dense": (lambda p: DenseEncoder(**SIZES, dtype=p), [normal(2, 16, 16, 1)], {}, [(2, 6)]),
    "E_dense_level_0": (
        lambda p: DenseEncoder(**SIZES, dtype=p),
        [normal(2, 4, 4, 1)],
        {"level": 0},
        [(2, 6)],
    ),
    "image_D": (lambda p: ImageDiscriminator(**SIZES, dtype=p), [normal(4, 16, 16, 1)], {}, [(4,)]),
    "image_D_level_1": (
        lambda p: ImageDiscriminator(**SIZES, dtype=p),
        [normal(4, 8, 8, 1)],
        {"level": 1, "blend": 0.3},
        [(4,)],
    ),
    "mlp_D": (lambda p: MLPDiscriminator(**MLP_BODY), [normal(4, 6, 6, 1)], {}, [(4,)]),
    "G": (lambda p: Generator(**SIZES, dtype=p), [normal(2, 6, 6)], {}, [(2, 16, 16, 1)]),
    "G_level_0": (
        lambda p: Generator(**SIZES, dtype=p),
        [normal(2, 6, 6)],
        {"level": 0},
        [(2, 4, 4, 1)],
    ),
    "mlp_E": (lambda p: MLPEncoder(**MLP), [normal(2, 6, 6, 1)], {}, [(2, 5)]),
    "mlp_G": (lambda p: MLPGenerator(**MLP), [normal(2, 1, 5)], {}, [(2, 6, 6, 1)]),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    make, args, kwargs, shapes = CASES[name]
    layer = make("float32")
    eager = tf.nest.flatten(layer(*args, **kwargs))
    assert [tuple(y.shape) for y in eager] == shapes
    assert all(np.abs(y).max() > 0 for y in eager)

    graph = tf.nest.flatten(tf.function(lambda: layer(*args, **kwargs))())
    for a, b in zip(eager, graph, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    for a, b in zip(eager, tf.nest.flatten(again(*args, **kwargs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    mixed = make("mixed_bfloat16")
    mixed.set_weights(layer.get_weights())
    assert all(variable.dtype == "float32" for variable in mixed.variables)
    for a, b in zip(eager, tf.nest.flatten(mixed(*args, **kwargs)), strict=True):
        difference = np.abs(tf.cast(b, tf.float32) - a).max() / np.abs(a).max()
        assert difference < 0.1  # bfloat16 has 8 bits, some ten layers behind each other


def test_initial_spread_and_factor_of_kernels():
    layer = EqualizedConv2D(64, 64, gain=2.0, lr_multiplier=0.1)
    assert np.std(layer.kernel) == pytest.approx(2 / 24, rel=0.02)  # fan-in 9 * 64 = 24²
    assert layer.kernel.step_factor == pytest.approx(0.1 * 2 / 24)


def test_channels_follow_the_paper():
    encoder = Encoder(levels=4, start_channels=16, max_channels=50, latent_size=8)
    assert [(b.inputs, b.channels) for b in encoder.blocks] == [(16, 32), (32, 50)] + [(50, 50)] * 2
    generator = Generator(levels=4, start_channels=16, max_channels=50, latent_size=8)
    assert [(b.inputs, b.channels) for b in generator.blocks] == [
        (None, 50),
        (50, 50),
        (50, 32),
        (32, 16),
    ]


def test_noise_moves_the_image_by_its_strength():
    generator = Generator(**SIZES)
    styles = normal(2, 6, 6)
    noise = [normal(*shape) for shape in generator.noise_shapes(2)]
    assert [n.shape[0] for n in noise] == [1, 2, 2, 2, 2, 2]
    np.testing.assert_array_equal(generator(styles, noise=noise), generator(styles))  # strength 0
    generator.blocks[2].noise_2.assign([1.0] * 4)
    assert np.abs(generator(styles, noise=noise) - generator(styles)).max() > 1e-3


def test_blend_0_is_the_coarser_level():
    encoder, generator = Encoder(**SIZES), Generator(**SIZES)
    styles = normal(2, 6, 6)
    fine, coarse = generator(styles, level=2, blend=0.0), generator(styles, level=1)
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, atol=1e-6)
    x = normal(2, 8, 8, 1)
    doubled = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
    fine, coarse = encoder(doubled, level=2, blend=0.0), encoder(x, level=1)
    np.testing.assert_allclose(fine, coarse, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", [DenseEncoder, ImageDiscriminator])
def test_networks_without_styles_grow_too(network):
    network, x = network(**SIZES), normal(4, 8, 8, 1)
    doubled = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
    fine, coarse = network(doubled, level=2, blend=0.0), network(x, level=1)
    np.testing.assert_allclose(fine, coarse, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="level: got 3, expected 0 to 2"):
        network(x, level=3)
    with pytest.raises(ValueError, match=r"x: got shape .*, expected \[N, 4, 4, 1\]"):
        network(x, level=0)


def test_a_dense_head_sees_what_an_instance_norm_would_take_out():
    """The last feature map is 2×2; twice as bright an image gives another w."""
    encoder, x = DenseEncoder(**SIZES), normal(1, 16, 16, 1)
    assert encoder.to_w.kernel.shape == (2 * 2 * 8, 6)
    assert not any(
        "to_w" in variable.path for block in encoder.blocks for variable in block.weights
    )
    difference = np.abs(encoder(2.0 * x) - 2.0 * encoder(x)).max()
    assert difference < 1e-5 * np.abs(encoder(x)).max()  # without biases all of it is homogeneous


def test_only_the_last_block_of_a_discriminator_has_the_minibatch_std():
    network = ImageDiscriminator(**SIZES)
    assert [block.conv_1.inputs for block in network.blocks] == [4, 8, 9]
    assert [block.conv_1.filters for block in network.blocks] == [4, 8, 8]
    x = normal(8, 16, 16, 1)
    changed = tf.concat([x[:7], -x[7:]], axis=0)  # images 4 to 7 are one group, 0 to 3 another
    moved = np.abs(network(changed) - network(x)) > 1e-6
    assert moved.tolist() == [False] * 4 + [True] * 4


def test_long_features_are_the_second_hidden_layer():
    encoder = MLPEncoder(**MLP)
    x = normal(3, 6, 6, 1)
    w = encoder.output_layer(encoder.long_features(x))
    np.testing.assert_allclose(encoder(x), np.where(w > 0, w, 0.2 * w), atol=1e-6)
