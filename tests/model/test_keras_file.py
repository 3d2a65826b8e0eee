"""Keras' own file, and the Hub by a stand-in."""

import json
import shutil
import subprocess
import sys
import types
import zipfile

import keras
import numpy as np
import pytest
from keras.src.saving import saving_lib

import alae_tf
from alae_tf.model import keras_file
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.system.errors import CheckpointError
from tests.paths import ROOT


@pytest.fixture(params=["small", "small_mlp"])
def model(request):
    config = request.getfixturevalue(request.param)
    level = config.levels - 1
    return Autoencoder(config, build_alae(config, seed=3), level, 0.75, images_seen=96)


def test_a_file_carries_weights_level_blend_and_config(model, tmp_path):
    path = tmp_path / "model.keras"
    keras_file.save(model, path)
    again = alae_tf.from_pretrained(path)
    assert (again.level, again.blend, again.images_seen) == (model.level, 0.75, 96)
    assert again.config == model.config
    np.testing.assert_array_equal(again.generate(2), model.generate(2))
    images = model.generate(3, seed=1)
    x = (images / 127.5 - 1).astype(np.float32)
    loaded = keras.saving.load_model(path)
    for method in (loaded.fit, loaded.export):
        with pytest.raises(TypeError, match="alae"):
            method(x)
    drawn = loaded(x).numpy()
    np.testing.assert_allclose(drawn, model.decode(model.encode(x), floats=True), atol=1e-5)


def test_keras_loads_it_once_alae_tf_is_imported(small_mlp, tmp_path):
    keras_file.save(Autoencoder(small_mlp, build_alae(small_mlp)), tmp_path / "model.keras")
    code = (
        "import keras, alae_tf\n"
        f"print(type(keras.saving.load_model({str(tmp_path / 'model.keras')!r})).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "TrainedALAE", done.stderr


def test_wrong_files_are_named(small_mlp, tmp_path):
    with pytest.raises(CheckpointError, match="none.keras"):
        alae_tf.from_pretrained(tmp_path / "none.keras")
    (tmp_path / "bad.keras").write_bytes(b"no zip")
    with pytest.raises(CheckpointError, match="bad.keras"):
        alae_tf.from_pretrained(tmp_path / "bad.keras")
    keras.Sequential([keras.Input([2]), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(CheckpointError, match="other.keras.*Sequential"):
        alae_tf.from_pretrained(tmp_path / "other.keras")
    keras_file.save(Autoencoder(small_mlp, build_alae(small_mlp)), tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    parts["config.json"] = parts["config.json"].replace(
        b'"latent_size": "8"', b'"latent_size": "9"'
    )
    with zipfile.ZipFile(tmp_path / "other_size.keras", "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    with pytest.raises(CheckpointError, match="other_size.keras"):
        alae_tf.from_pretrained(tmp_path / "other_size.keras")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"level": 8}, "level"),
        ({"level": -1}, "level"),
        ({"level": "x"}, "level"),
        ({"level": None}, "level"),
        ({"blend": 7}, "blend"),
        ({"blend": float("nan")}, "blend"),
        ({"blend": "x"}, "blend"),
        ({"images_seen": -5}, "images_seen"),
        ({"images_seen": 1.5}, "images_seen"),
        ({"images_seen": "x"}, "images_seen"),
        ({"config": "x"}, "config"),
        ({"config": {"levels": 1}}, "config/levels"),
        ({"config": {"levels": "99"}}, "--levels"),
    ],
)
def test_a_state_that_cannot_be_is_refused(small_mlp, tmp_path, change, field):
    path, whole = tmp_path / "bad.keras", tmp_path / "good.keras"
    keras_file.save(Autoencoder(small_mlp, build_alae(small_mlp)), whole)
    with zipfile.ZipFile(whole) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                described = json.loads(content)
                described["config"] |= change
                content = json.dumps(described)
            bad.writestr(name, content)
    for load in (alae_tf.from_pretrained, keras.saving.load_model):
        with pytest.raises(CheckpointError, match=field):
            load(path)


class Hub:
    """Stands for huggingface_hub: repositories are folders."""

    def __init__(self, root):
        self.root = root

    def HfApi(self, **about):  # noqa: N802
        return self

    def create_repo(self, name, exist_ok):
        return types.SimpleNamespace(repo_id=name)

    def upload_folder(self, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.root / repo_id)

    def snapshot_download(self, repo_id, **about):
        return str(self.root / repo_id)


def test_the_hub(small_mlp, tmp_path, monkeypatch):
    monkeypatch.setattr(saving_lib, "huggingface_hub", Hub(tmp_path))
    model = Autoencoder(small_mlp, build_alae(small_mlp, seed=5), images_seen=7)
    keras_file.save(model, "hf://somebody/model")
    again = alae_tf.from_pretrained("hf://somebody/model")
    np.testing.assert_array_equal(again.generate(2), model.generate(2))
    assert again.images_seen == 7
    with pytest.raises(CheckpointError, match="hf://somebody/none"):
        alae_tf.from_pretrained("hf://somebody/none")
