"""`Autoencoder.encoder` and `decoder`: functional Keras models of E and G."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae

HEADS = {
    "w": {},
    "layers": dict(encoder_codes="layers"),
    "dense": dict(encoder_head="dense"),
    "readout": dict(encoder_head="readout", discriminator="separate"),
    "z": dict(latent_regression="z"),
}


def make(config, level=None, blend=1.0):
    """A model whose weights are all random: new biases, noise and corrections would be 0."""
    alae, random = build_alae(config), np.random.default_rng(0)
    for variable in alae.variables:
        variable.assign(variable + 0.1 * random.standard_normal(variable.shape))
    return Autoencoder(config, alae, level, blend)


def some_images(model, count=3):
    return np.random.default_rng(1).uniform(-1, 1, (count, *model._shape)).astype(np.float32)


def check_encoder(model, layers=False):
    """Returns the codes of some images."""
    x = some_images(model)
    codes = model.encode(x, layers=layers)
    check(model.encoder(layers), x, codes)
    return codes


def check_decoder(model, codes):
    check(model.decoder(codes.ndim == 3), codes, model.decode(codes, floats=True))


def check(graph, inputs, expected):
    """Equal outputs, known shapes, and all weights used."""
    assert graph.input_shape == (None, *inputs.shape[1:])
    assert graph.output_shape == (None, *expected.shape[1:])
    with tf.GradientTape() as tape:
        outputs = graph(inputs)
        loss = tf.reduce_sum(tf.square(outputs))
    np.testing.assert_allclose(outputs, expected, atol=1e-5, rtol=1e-5)
    variables = [variable.value for variable in graph.trainable_variables]
    assert variables and None not in tape.gradient(loss, variables)


@pytest.mark.parametrize("head", HEADS)
def test_they_give_what_encode_and_decode_give(small, head):
    model = make(small.replace(**HEADS[head]))
    codes = check_encoder(model, layers=head in ("w", "layers"))
    if head in ("w", "dense"):
        check_decoder(model, codes)  # of styles, and of w
    if head == "layers":
        check_encoder(model)


@pytest.mark.parametrize("head", ["w", "readout"])
def test_while_a_level_fades_in(small, head):
    config = small.replace(levels=3, epochs_by_level=(1.0,), **HEADS[head])
    model = make(config, level=1, blend=0.3)
    codes = check_encoder(model)
    if head == "w":
        check_decoder(model, codes)


def test_at_the_lowest_level(small):
    model = make(small, level=0)
    check_decoder(model, check_encoder(model))
    names = [layer.name for layer in model.encoder().layers]
    assert "from_rgb_4" in names and "block_4" in names and "block_8" not in names


def test_of_an_mlp(small_mlp):
    model = make(small_mlp.replace(output_slope=0.5))
    check_decoder(model, check_encoder(model))
    check_decoder(model, check_encoder(model, layers=True))


def test_only_weights_in_use_and_a_summary_without_question_marks(small):
    model = make(small.replace(encoder_codes="layers"))
    lines: list[str] = []
    encoder = model.encoder()
    encoder.summary(print_fn=lines.append)
    assert "?" not in "\n".join(lines) and "(None, 4, 4, 8)" in "\n".join(lines)
    # By hand: from_rgb 1·4 + 4; block 0: 3·3·4·4 + 3·3·4·8 + 4 + 8 + (8 + 1)·8 + (16 + 1)·8;
    # block 1: 2·(3·3·8·8 + 8) + 2·(16 + 1)·8. Nothing of the corrections, which give no w.
    assert encoder.count_params() == 8 + (144 + 288 + 12 + 72 + 136) + (1152 + 16 + 272)


def test_training_a_classifier_leaves_the_model_unchanged(small, capfd, recwarn):
    model = make(small)
    before = [variable.numpy() for variable in model.alae.variables]
    encoder = model.encoder()
    start = [variable.numpy() for variable in encoder.trainable_variables]
    classifier = keras.Sequential([encoder, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss)
    classifier.fit(some_images(model, 8), np.arange(8) % 2, batch_size=4, verbose=0)
    assert "radients do not exist" not in capfd.readouterr().err
    assert not [w for w in recwarn if "radients" in str(w.message)]
    for old, variable in zip(start, encoder.trainable_variables, strict=True):
        assert (old != variable.numpy()).any(), variable.path
    for old, variable in zip(before, model.alae.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_saved_and_loaded(small, small_mlp, tmp_path):
    for config in (small.replace(encoder_codes="layers"), small_mlp):
        model = make(config, blend=0.5)
        x = some_images(model, 2)
        encoder, decoder = model.encoder(layers=True), model.decoder(layers=True)
        encoder.save(tmp_path / "encoder.keras")
        decoder.save(tmp_path / "decoder.keras")
        loaded = [keras.saving.load_model(tmp_path / f"{name}coder.keras") for name in ("en", "de")]
        np.testing.assert_array_equal(loaded[1](loaded[0](x)), decoder(encoder(x)))
