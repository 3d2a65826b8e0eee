import numpy as np
import pytest

from alae_tf.runs import checkpoint
from alae_tf.training.saver import training_variables
from alae_tf.training.step import Trainer


@pytest.fixture
def trainer(small_mlp):
    trainer = Trainer(small_mlp)
    for i, variable in enumerate(training_variables(trainer).values()):
        variable.assign(np.full(variable.shape, i))
    return trainer


def state(images):
    return {"images_seen": images, "level": 0, "blend": 1.0}


def test_names_are_those_of_the_code(small):
    names = training_variables(Trainer(small))
    assert "alae/E/blocks.1/conv_2/kernel" in names
    assert "ema/w_avg" in names
    assert "optimizer/v/G/blocks.0/noise_1" in names
    assert "optimizer/t/D/dense.2/bias" in names


def test_every_variable_comes_back(trainer, small_mlp, tmp_path):
    checkpoint.save(training_variables(trainer), tmp_path, state(24), keep=2)
    other = Trainer(small_mlp.replace(seed=5))
    assert checkpoint.restore(training_variables(other), tmp_path) == state(24)
    there = training_variables(other)
    count = 0
    for name, variable in training_variables(trainer).items():
        np.testing.assert_array_equal(variable.numpy(), there[name].numpy())
        count += 1
    assert count == 2 * len(trainer.alae.variables) + 2 * len(trainer.alae.trainable_variables)


def test_the_newest_few_are_kept(trainer, tmp_path):
    for images in (8, 16, 24):
        checkpoint.save(training_variables(trainer), tmp_path, state(images), keep=2)
    names = [path.name for path in checkpoint.list_checkpoints(tmp_path)]
    assert names == ["images-000000000016.npz", "images-000000000024.npz"]


def test_a_torn_newest_one_is_passed_over_and_said(trainer, small_mlp, tmp_path, capsys):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=2)
    newest = checkpoint.save(training_variables(trainer), tmp_path, state(16), keep=2)
    whole = newest.read_bytes()
    for torn in (whole[: len(whole) // 2], b"", whole[:4000] + b"?" + whole[4001:]):
        newest.write_bytes(torn)
        assert checkpoint.restore(training_variables(trainer), tmp_path)["images_seen"] == 8
        assert "images-000000000016.npz: not a whole checkpoint" in capsys.readouterr().err
        assert newest.with_suffix(".torn").exists()
    checkpoint.list_checkpoints(tmp_path)[0].write_bytes(b"")
    with pytest.raises(checkpoint.CheckpointError, match="none of its 1 checkpoints can be read"):
        checkpoint.restore(training_variables(trainer), tmp_path)


def test_a_full_disk_leaves_the_old_one(trainer, tmp_path, monkeypatch):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=1)

    def full(file, **values):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(training_variables(trainer), tmp_path, state(16), keep=1)
    files = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert files == ["images-000000000008.npz"]


def test_what_does_not_match_is_listed(trainer, tmp_path, small_mlp):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=1)
    wider = Trainer(small_mlp.replace(latent_size=9, mapping_layers=3))
    with pytest.raises(checkpoint.CheckpointError) as error:
        checkpoint.restore(training_variables(wider), tmp_path)
    assert "missing: alae/F/dense.2/kernel" in str(error.value)
    assert "shape: ema/w_avg is [1, 8], expected [1, 9]" in str(error.value)


def test_restore_of_nothing(trainer, tmp_path):
    assert checkpoint.restore(training_variables(trainer), tmp_path) is None


def test_ema_of_no_run(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="it has no config.cfg"):
        checkpoint.load_ema(tmp_path)
    (tmp_path / "config.cfg").write_text("--levels=2\n")
    with pytest.raises(checkpoint.CheckpointError, match="no checkpoint yet"):
        checkpoint.load_ema(tmp_path)


def test_a_disk_that_fails_to_read_is_not_taken_for_a_torn_file(trainer, tmp_path, monkeypatch):
    path = checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=1)

    def fails(*args, **kwargs):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.np, "load", fails)
        with pytest.raises(OSError, match="Input/output error"):
            checkpoint.restore(training_variables(trainer), tmp_path)
    assert checkpoint.restore(training_variables(trainer), tmp_path) == state(8)
    assert path.exists()


def test_what_a_kill_left_half_written_goes(trainer, tmp_path):
    path = checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=1)
    path.with_name("images-000000000016.partial").write_bytes(b"half")
    checkpoint.restore(training_variables(trainer), tmp_path)
    assert list(path.parent.iterdir()) == [path]
