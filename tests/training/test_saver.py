"""How a run begins with the weights of another one."""

import numpy as np
import pytest

import alae_tf
from alae_tf.config import ConfigError
from alae_tf.model.pretrained import save_pretrained
from alae_tf.networks.alae import build_alae
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop


def newest(run_dir):
    return checkpoint.read_newest(run_dir)[1:]


def test_a_run_begins_with_a_shipped_models_ema(small, tmp_path, capsys, one_device):
    alae = build_alae(small, seed=7)
    model = alae_tf.model.autoencoder.Autoencoder(small, alae, level=1, images_seen=9000)
    save_pretrained(model, tmp_path / "model", "")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    # Level 1 is faded in at 135 images of 4,500; two iterations follow.
    config = small.replace(data="mnist5k:", init_from=f"{tmp_path}/model", epochs=0.033)
    assert loop.train(config, RunDirectory(tmp_path / "run")) == 0
    said = capsys.readouterr().err
    assert f"weights of {tmp_path}/model, at level 1" in said
    assert "continues after 135 images" in said
    first = tmp_path / "run/checkpoints/images-000000000135.npz"
    entries, state = checkpoint.read(first)
    assert (state["images_seen"], state["level"]) == (135, 1)
    for name in ("E/blocks.0/conv_1/kernel", "w_avg"):
        there = newest(tmp_path / "model")[0][f"ema/{name}"]
        np.testing.assert_array_equal(entries[f"ema/{name}"], there)
        np.testing.assert_array_equal(entries[f"alae/{name}"], there)
    assert not any(v.any() for name, v in entries.items() if name.startswith("optimizer/"))
    assert newest(tmp_path / "run")[1]["images_seen"] == 151
    assert {path: path.read_bytes() for path in files} == files
    RunDirectory(tmp_path / "run").check(config.replace(init_from=""), "auto")
    # The same command continues the run and does not need the model again.
    (tmp_path / "model").rename(tmp_path / "moved")
    assert loop.train(config, RunDirectory(tmp_path / "run")) == 0
    assert "weights of" not in capsys.readouterr().err


def test_a_run_begins_with_the_raw_weights_of_a_run_in_training(small_mlp, tmp_path, one_device):
    config = small_mlp.replace(data="mnist5k:", image_size=28, epochs=0.002, flip=False)
    assert loop.train(config, RunDirectory(tmp_path / "a")) == 0
    config = config.replace(init_from=f"{tmp_path}/a", epochs=0.001)
    assert loop.train(config, RunDirectory(tmp_path / "b")) == 0
    there = newest(tmp_path / "a")[0]
    entries = checkpoint.read(tmp_path / "b/checkpoints/images-000000000000.npz")[0]
    name = "E/hidden_1/kernel"
    assert (there[f"alae/{name}"] != there[f"ema/{name}"]).any()
    for prefix in ("alae", "ema"):
        np.testing.assert_array_equal(entries[f"{prefix}/{name}"], there[f"{prefix}/{name}"])


def test_a_run_too_short_for_its_level(small, tmp_path, one_device):
    model = alae_tf.model.autoencoder.Autoencoder(small, build_alae(small))
    save_pretrained(model, tmp_path / "model", "")
    config = small.replace(data="mnist5k:", init_from=f"{tmp_path}/model", epochs=0.03)
    with pytest.raises(ConfigError, match="--epochs=0.03: .*model .* level 1"):
        loop.train(config, RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run/config.cfg").exists()
