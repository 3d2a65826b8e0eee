import numpy as np
import pytest

import alae_tf
from alae_tf import shipped
from alae_tf.autoencoder import Autoencoder
from alae_tf.errors import AlaeError, CheckpointError
from alae_tf.networks.alae import build_alae
from alae_tf.pretrained import save_pretrained


@pytest.fixture
def model(small):
    return Autoencoder(small, build_alae(small), level=1, blend=0.75, images_seen=96)


def test_a_saved_model_is_the_same(model, tmp_path):
    path = tmp_path / "models" / "mine"
    save_pretrained(model, path, "# Mine\n")
    again = alae_tf.from_pretrained(path)
    assert (again.level, again.blend, again.images_seen) == (1, 0.75, 96)
    np.testing.assert_array_equal(again.generate(2), model.generate(2))
    assert (path / "README.md").read_text() == "# Mine\n"
    with pytest.raises(AlaeError, match="holds a model already"):
        save_pretrained(model, path, "")


def test_half_the_size(model, tmp_path):
    save_pretrained(model, tmp_path / "a", "")
    save_pretrained(model, tmp_path / "b", "", half=True)

    def size(name):
        return sum(path.stat().st_size for path in (tmp_path / name).rglob("*.npz"))

    assert size("b") < 0.85 * size("a")  # small arrays, much of it names
    w = model.sample_w(4)
    halved = alae_tf.from_pretrained(tmp_path / "b")
    np.testing.assert_allclose(halved.sample_w(4), w, atol=2e-3 * np.abs(w).max())


def test_shipped_models_go_by_name(model, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "HERE", tmp_path / "alae_tf")
    save_pretrained(model, tmp_path / "models" / "mine", "")
    for name in ("mine", "models/mine"):
        assert alae_tf.from_pretrained(name).images_seen == 96
    with pytest.raises(CheckpointError, match="none of the shipped models: mine"):
        alae_tf.from_pretrained("other")


def test_weights_of_training_are_not_in_it(model, tmp_path):
    save_pretrained(model, tmp_path / "a", "")
    with pytest.raises(CheckpointError, match="holds no raw weights"):
        alae_tf.load_model(tmp_path / "a", weights="raw")
