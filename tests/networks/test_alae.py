import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from alae_tf.networks.alae import build_alae


def test_truncation_by_hand(small):
    alae = build_alae(small)
    alae.w_avg.assign(np.full((4, 8), 2.0))
    styles = tf.fill([1, 4, 8], 4.0)
    truncated = alae.truncate(styles, psi=0.25, cutoff=3)
    assert truncated[0, :, 0].numpy().tolist() == [2.5, 2.5, 2.5, 4.0]


def test_style_mixing_by_hand(small):
    alae = build_alae(small)
    mixed = alae.mix(tf.zeros([2, 4, 8]), tf.ones([2, 4, 8]), cutoff=1)
    assert mixed[1, :, 0].numpy().tolist() == [0, 1, 1, 1]


def test_noise_modes(small):
    alae = build_alae(small)
    assert alae.noise("none", 2) is None
    const = alae.noise("const", 2)
    assert [n.shape for n in const] == [(1, 4, 4, 1)] * 2 + [(1, 8, 8, 1)] * 2
    random, same, other = (alae.noise("random", 2, seed=seed) for seed in (1, 1, 2))
    assert [tuple(n.shape) for n in random] == [(1, 4, 4, 1), (2, 4, 4, 1)] + [(2, 8, 8, 1)] * 2
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(random, same, strict=True))
    assert all((a.numpy() != b.numpy()).any() for a, b in zip(random, other, strict=True))
    with pytest.raises(ValueError, match="got 'some', expected random, const or none"):
        alae.noise("some", 2)


def test_same_seed_same_weights(small):
    first, second, other = build_alae(small), build_alae(small), build_alae(small, seed=1)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.F.dense[0].kernel.numpy() != other.F.dense[0].kernel.numpy()).any()


def test_reconstruction_is_decode_of_encode(small_mlp):
    alae = build_alae(small_mlp)
    x = tf.random.stateless_normal([2, 6, 6, 1], [0, 0])
    np.testing.assert_allclose(alae(x), alae.decode(alae.encode(x)), atol=1e-6)
    np.testing.assert_allclose(alae.logits(x), alae.D(alae.encode(x)), atol=1e-6)


def test_a_variant_has_the_weights_of_the_joint_model_where_it_has_its_networks(small, small_mlp):
    for config in (small, small_mlp):
        joint = build_alae(config)
        other = build_alae(config.replace(discriminator="separate", latent_regression="z"))
        for name in "FGE":
            ours, theirs = (getattr(alae, name).get_weights() for alae in (joint, other))
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(a, b)


def test_with_z_regression_encode_still_gives_w(small_mlp):
    joint, alae = (build_alae(small_mlp.replace(latent_regression=name)) for name in "wz")
    x = tf.random.stateless_normal([2, 6, 6, 1], [0, 0])
    np.testing.assert_allclose(alae.encode(x), alae.F(joint.encode(x)), atol=1e-6)
    np.testing.assert_allclose(alae(x), alae.decode(alae.F(alae.E(x))), atol=1e-6)
    np.testing.assert_array_equal(alae.logits(x), joint.logits(x))  # D takes E's z


def test_a_separate_discriminator_takes_images(small):
    alae = build_alae(small.replace(discriminator="separate"))
    x = tf.random.stateless_normal([4, 4, 4, 1], [0, 0])
    np.testing.assert_array_equal(alae.logits(x, level=0), alae.D(x, level=0))


def test_building_leaves_the_callers_generators_alone(small_mlp):
    random.seed(1), np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1), np.random.seed(1)
    build_alae(small_mlp)
    assert (random.random(), np.random.random()) == expected


@pytest.mark.parametrize(
    ("kind", "discriminator"),
    [(k, d) for k in ("dense", "mlp") for d in ("joint", "separate")] + [("readout", "separate")],
)
def test_config_round_trip(kind, discriminator, small, small_mlp):
    changes = dict(discriminator=discriminator, latent_regression="z")
    config = small_mlp if kind == "mlp" else small.replace(**changes, encoder_head=kind)
    alae = build_alae(config.replace(**changes))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(alae))
    again.set_weights(alae.get_weights())
    z = tf.random.stateless_normal([2, 8], [0, 0])
    x = alae.decode(alae.map(z))
    np.testing.assert_array_equal(again.decode(again.map(z)), x)
    np.testing.assert_array_equal(again.logits(x), alae.logits(x))
    np.testing.assert_array_equal(again.encode(x), alae.encode(x))


def test_a_seed_may_be_a_numpy_integer(small):
    ours, theirs = (build_alae(small).noise("random", 1, seed=s) for s in (3, np.int64(3)))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_wrong_shapes_and_levels_are_refused(small, small_mlp):
    alae, mlp = build_alae(small), build_alae(small_mlp)
    with pytest.raises(ValueError, match=r"level: got 5, expected 0 to 1"):
        alae.encode(tf.zeros([1, 8, 8, 1]), level=5)
    with pytest.raises(ValueError, match=r"level: got 2, expected 0 to 1"):
        alae.decode(tf.zeros([1, 8]), level=2)
    with pytest.raises(ValueError, match=r"x: got shape \[1, 16, 16, 1\], expected \[N, 8, 8, 1\]"):
        alae.encode(tf.zeros([1, 16, 16, 1]))
    with pytest.raises(ValueError, match=r"x: got shape \[1, 8, 8, 1\], expected \[N, 4, 4, 1\]"):
        alae.encode(tf.zeros([1, 8, 8, 1]), level=0)
    with pytest.raises(ValueError, match=r"styles: got shape \[1, 6, 8\], expected \[N, 4, 8\]"):
        alae.decode(tf.zeros([1, 6, 8]))
    with pytest.raises(ValueError, match=r"noise 2: got shape \[1, 4, 4, 1\], expected"):
        alae.decode(tf.zeros([1, 8]), noise=[tf.zeros([1, 4, 4, 1])] * 4)
    with pytest.raises(ValueError, match="noise: got 3 maps, expected 4"):
        alae.decode(tf.zeros([1, 8]), noise=alae.noise("const", 1)[:3])
    with pytest.raises(ValueError, match=r"x: got shape \[1, 7, 7, 1\], expected \[N, 6, 6, 1\]"):
        mlp.encode(tf.zeros([1, 7, 7, 1]))
    with pytest.raises(ValueError, match=r"styles: got shape \[1, 1, 9\], expected \[N, 1, 8\]"):
        mlp.decode(tf.zeros([1, 9]))


def test_keras_own_ways_say_what_to_use_instead(small):
    alae = build_alae(small)
    with pytest.raises(TypeError, match="python -m alae_tf.train"):
        alae.fit(np.zeros([1, 8, 8, 1]))
    with pytest.raises(TypeError, match="alae export"):
        alae.export("somewhere")
