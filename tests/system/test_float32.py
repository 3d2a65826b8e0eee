import pytest
import tensorflow as tf

from alae_tf.evaluation import registry, representation
from alae_tf.model import autoencoder, keras_file
from alae_tf.networks.alae import build_alae
from alae_tf.official import goldens
from alae_tf.system import float32
from alae_tf.training.strategy import make_strategy
from export import loading
from export.formats import Options
from tests.helpers.fakes import Images, noise
from tests.helpers.runs import save_run
from tests.paths import GOLDENS

allow = tf.config.experimental.enable_tensor_float_32_execution
allowed = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(autouse=True)
def tensorflows_default():
    allow(True)
    yield
    allow(True)


def test_for_a_while():
    with float32.used():
        assert not allowed()
    assert allowed()
    float32.use()
    with float32.used():
        pass
    assert not allowed()


def test_loaded_models(small_mlp, tmp_path):
    run_dir = save_run(small_mlp, tmp_path / "run")
    autoencoder.load_model(run_dir)
    assert not allowed()
    for run, untrained in ((run_dir, None), (None, run_dir / "config.cfg")):
        allow(True)
        loading.load(Options(run_dir=run, untrained=untrained))
        assert not allowed()
    allow(True)
    keras_file.save(autoencoder.Autoencoder(small_mlp, build_alae(small_mlp)), tmp_path / "m.keras")
    assert allowed()  # as a callback of a training run may
    keras_file.load(tmp_path / "m.keras")
    assert not allowed()


def test_official_numbers():
    next(goldens.verify(GOLDENS / "style32_forward.npz"))
    assert not allowed()


def test_a_measurement_leaves_training_as_it_was(small_mlp, monkeypatch):
    found = []
    monkeypatch.setattr(
        "alae_tf.evaluation.pixels.psnr", lambda samples: found.append(allowed()) or 1
    )
    images = Images(noise(8), held_out=Images(noise(4)))
    model = autoencoder.Autoencoder(small_mlp, build_alae(small_mlp))
    registry.evaluate(model, images, ["psnr"])
    representation.summary(model, images)
    assert found == [False] and allowed()


@pytest.mark.parametrize("tf32", [True, False])
def test_training(small_mlp, tf32):
    allow(not tf32)
    make_strategy(small_mlp.replace(tf32=tf32, strategy="one_device"))
    assert allowed() == tf32
