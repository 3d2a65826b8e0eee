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
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer


def newest(run_dir):
    return checkpoint.read_newest(run_dir)[1:]


@pytest.mark.slow
def test_a_run_begins_with_a_shipped_models_ema(small, tmp_path, capsys, one_device):
    alae = build_alae(small, seed=7)
    model = alae_tf.model.autoencoder.Autoencoder(small, alae, level=1, images_seen=9000)
    save_pretrained(model, tmp_path / "model", "")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    # 14 images of 4,500: two iterations, all at level 1.
    config = small.replace(data="mnist5k:", init_from=f"{tmp_path}/model", epochs=0.003)
    assert loop.train(config, RunDirectory(tmp_path / "run")) == 0
    said = capsys.readouterr().err
    assert f"weights of {tmp_path}/model, at level 1" in said
    assert "continues" not in said
    assert "16 images are left; the EMA's half-life is 10,000" in said
    first = tmp_path / "run/checkpoints/images-000000000000.npz"
    entries, state = checkpoint.read(first)
    assert (state["images_seen"], state["level"], state["blend"]) == (0, 1, 1.0)
    for name in ("E/blocks.0/conv_1/kernel", "w_avg"):
        there = newest(tmp_path / "model")[0][f"ema/{name}"]
        np.testing.assert_array_equal(entries[f"ema/{name}"], there)
        np.testing.assert_array_equal(entries[f"alae/{name}"], there)
    assert not any(v.any() for name, v in entries.items() if name.startswith("optimizer/"))
    assert newest(tmp_path / "run")[1]["images_seen"] == 16
    assert {path: path.read_bytes() for path in files} == files
    RunDirectory(tmp_path / "run").check(config.replace(init_from=""), "auto")
    # The run continues at its level and does not need the model again.
    (tmp_path / "model").rename(tmp_path / "moved")
    config = config.replace(epochs=0.005)
    assert loop.train(config, RunDirectory(tmp_path / "run")) == 0
    said = capsys.readouterr().err
    assert "weights of" not in said and "continues after 16 images" in said
    state = newest(tmp_path / "run")[1]
    assert (state["images_seen"], state["level"], state["blend"]) == (24, 1, 1.0)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_run_begun_by_an_earlier_version_keeps_its_plan(small, tmp_path, one_device):
    """Its epochs count the levels before that of the weights."""
    config = small.replace(data="mnist5k:", init_from="digits", epochs=0.033)
    run = RunDirectory(tmp_path / "run")
    run.open()
    run.write_config(config)
    state = dict(images_seen=135, level=1, blend=1.0, dataset_size=4500, sums=[0.0] * 3, summed=0)
    checkpoint.save(training_variables(Trainer(config)), run.path, state, keep=3)
    run.close()
    assert loop.train(config, run) == 0
    assert newest(run.path)[1]["images_seen"] == 151  # 0.033 · 4,500, in whole batches
    levels = [row["level"] for row in run.metrics.rows()]
    assert set(levels) == {"1"}


def test_imported_weights_in_a_run_too_short_for_their_level(small, tmp_path, one_device):
    config = small.replace(data="mnist5k:", epochs=0.03)
    run = RunDirectory(tmp_path / "run")
    run.open()
    run.write_config(config)
    state = dict(images_seen=0, level=1, blend=1.0, dataset_size=None, sums=[], summed=0)
    checkpoint.save(training_variables(Trainer(config)), run.path, state, keep=3)
    run.close()
    with pytest.raises(ConfigError, match="--epochs=0.03: .* level 1"):
        loop.train(config, run)


@pytest.mark.parametrize("change", [{"first_level": 2}, {"first_level": -1}, {"first_fades": 1}])
def test_a_plan_that_cannot_be_is_no_checkpoint(change):
    state = dict(images_seen=0, level=1, blend=1.0, first_level=1, first_fades=True)
    checkpoint.check_state(state)
    with pytest.raises(ValueError, match=next(iter(change))):
        checkpoint.check_state(state | change)
