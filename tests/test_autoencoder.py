import numpy as np
import pytest

import alae_tf
from alae_tf.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.runs import checkpoint
from alae_tf.training.saver import training_variables
from alae_tf.training.step import Trainer


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small))


def test_uint8_and_float_are_the_same(model):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    w = model.encode(pixels)
    assert w.shape == (3, 8)
    assert w.dtype == np.float32
    np.testing.assert_allclose(model.encode(pixels / 127.5 - 1.0), w, atol=1e-4)
    np.testing.assert_allclose(model.encode(pixels[1]), w[1], atol=1e-4)  # one gives one


def test_reconstruct_is_decode_of_encode(model):
    pixels = np.full((2, 8, 8, 1), 50, np.uint8)
    images = model.reconstruct(pixels)
    assert images.dtype == np.uint8
    assert images.shape == (2, 8, 8, 1)
    np.testing.assert_array_equal(images, model.decode(model.encode(pixels)))
    assert model.reconstruct(pixels[0]).shape == (8, 8, 1)


def test_generate_is_repeatable(model):
    np.testing.assert_array_equal(model.generate(4, seed=3), model.generate(4, seed=3))
    assert (model.generate(4, seed=3) != model.generate(4, seed=4)).any()
    assert (model.generate(2, psi=0.0)[0] == model.generate(2, psi=0.0)[1]).all()


def test_styles_decode_too(model):
    w = np.ones((2, 8), np.float32)
    styles = np.repeat(w[:, None], 4, axis=1)
    np.testing.assert_array_equal(model.decode(w), model.decode(styles))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(np.zeros((2, 8, 8, 3), np.uint8)), r"expected \[N, 8, 8, 1\]"),
        (lambda m: m.encode(np.zeros((8, 8), np.uint8)), r"got shape \[8, 8\]"),
        (lambda m: m.encode(np.zeros((8, 8, 1), np.int64)), "got dtype int64"),
        (lambda m: m.encode(np.full((8, 8, 1), 255.0)), "floats beyond"),
        (lambda m: m.encode(np.full((8, 8, 1), np.nan)), "floats beyond"),
        (lambda m: m.decode(np.zeros((2, 7))), r"expected \[N, 8\] or \[N, 4, 8\]"),
        (lambda m: m.decode(np.zeros((2, 8)), noise_mode="loud"), "got 'loud'"),
    ],
)
def test_wrong_input_is_told(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)


def test_load_model_gives_the_ema(small, tmp_path):
    trainer = Trainer(small)
    trainer.ema.F.dense[0].kernel.assign(np.full((8, 8), 0.25))
    (tmp_path / "config.cfg").write_text(small.to_flagfile())
    state = {"images_seen": 8, "level": 0, "blend": 1.0}
    checkpoint.save(training_variables(trainer), tmp_path, state, keep=1)
    model = alae_tf.load_model(tmp_path)
    assert (model.level, model.resolution) == (0, 4)
    assert (model.alae.F.dense[0].kernel.numpy() == 0.25).all()
    assert model.generate(1).shape == (1, 4, 4, 1)
