import io
import json
import re
import zipfile

import numpy as np
import pytest

from alae_tf.runs import checkpoint
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer


@pytest.fixture
def trainer(small_mlp):
    trainer = Trainer(small_mlp)
    for i, variable in enumerate(training_variables(trainer).values()):
        variable.assign(np.full(variable.shape, i))
    return trainer


def state(images):
    return {
        "images_seen": images,
        "level": 0,
        "blend": 1.0,
        "dataset_size": 4500,
        "sums": [0.5, 0.5, 0.5],
        "summed": 1,
    }


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


def test_a_torn_newest_one_is_ignored_and_reported(trainer, small_mlp, tmp_path, capsys):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=2)
    newest = checkpoint.save(training_variables(trainer), tmp_path, state(16), keep=2)
    whole = newest.read_bytes()
    for torn in (whole[: len(whole) // 2], b"", whole[:4000] + b"?" + whole[4001:]):
        newest.write_bytes(torn)
        assert checkpoint.restore(training_variables(trainer), tmp_path)["images_seen"] == 8
        assert "images-000000000016.npz" in capsys.readouterr().err
        assert newest.with_suffix(".torn").exists()
    checkpoint.list_checkpoints(tmp_path)[0].write_bytes(b"")
    with pytest.raises(checkpoint.CheckpointError, match="none of its 1 checkpoints"):
        checkpoint.restore(training_variables(trainer), tmp_path)


def test_a_directory_in_its_place_is_ignored_and_reported(trainer, small_mlp, tmp_path, capsys):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=2)
    (tmp_path / "checkpoints/images-000000000016.npz").mkdir()
    assert checkpoint.read_newest(tmp_path)[2]["images_seen"] == 8
    said = capsys.readouterr().err
    assert "images-000000000016.npz" in said
    (tmp_path / "checkpoints/images-000000000008.npz").unlink()
    with pytest.raises(checkpoint.CheckpointError, match="none of its 1 checkpoints"):
        checkpoint.read_newest(tmp_path)


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
    with pytest.raises(checkpoint.CheckpointError, match="config.cfg"):
        checkpoint.load_networks(tmp_path)
    (tmp_path / "config.cfg").write_text("--levels=2\n")
    with pytest.raises(checkpoint.CheckpointError, match="--run_dir=.*no checkpoint"):
        checkpoint.load_networks(tmp_path)


def test_a_disk_that_fails_to_read_is_not_taken_for_a_torn_file(trainer, tmp_path, monkeypatch):
    path = checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=1)

    def fails(*args, **kwargs):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "read_npz", fails)
        with pytest.raises(OSError, match=f"Input/output error: '{path}'"):
            checkpoint.restore(training_variables(trainer), tmp_path)
    assert checkpoint.restore(training_variables(trainer), tmp_path) == state(8)
    assert path.exists()


def header(text):
    """An entry of a `.npz` file without its data."""
    text = text.ljust(118 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def spoil(path, **entries):
    """Puts other bytes in the place of a checkpoint's entries."""
    with zipfile.ZipFile(path) as file:
        whole = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (whole | entries).items():
            if data is not None:
                file.writestr(name, data)


def as_entry(value):
    file = io.BytesIO()
    np.lib.format.write_array(file, value)
    return file.getvalue()


def state_entry(text):
    return as_entry(np.frombuffer(text.encode(), np.uint8))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({"state.npy": None}, "it has no state"),
        ({"state.npy": state_entry("{")}, "Expecting property name"),
        ({"state.npy": state_entry("[" * 10**5)}, "recursion"),
        ({"state.npy": state_entry('{"images_seen": 16}')}, "state/level"),
        (
            {"state.npy": state_entry(json.dumps(state(16) | {"sums": [1.0, None, 2.0]}))},
            "state/sums",
        ),
        (
            {
                "a.npy": header(
                    "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,), }"
                )
            },
            r"declares float32 \[9999999999999\] and has 0 bytes",
        ),
        ({"alae/w_avg.npy": as_entry(np.full([1, 8], np.nan, np.float32))}, "w_avg is not finite"),
        ({"a.npy": as_entry(np.array(["text"]))}, "declares <U4"),
    ],
)
def test_a_damaged_one_is_reported_and_the_previous_one_used(
    trainer, tmp_path, capsys, entries, why
):
    checkpoint.save(training_variables(trainer), tmp_path, state(8), keep=2)
    newest = checkpoint.save(training_variables(trainer), tmp_path, state(16), keep=2)
    spoil(newest, **entries)
    assert checkpoint.restore(training_variables(trainer), tmp_path) == state(8)
    said = capsys.readouterr().err
    assert re.search(f"{newest.name}: .*{why}.*previous", said)
    spoil(checkpoint.list_checkpoints(tmp_path)[0], **entries)
    with pytest.raises(checkpoint.CheckpointError, match="none of its 1 checkpoints"):
        checkpoint.restore(training_variables(trainer), tmp_path)
    assert "previous" not in capsys.readouterr().err


def test_a_level_that_the_config_has_not(trainer, small_mlp, tmp_path):
    checkpoint.save(training_variables(trainer), tmp_path, state(8) | {"level": 3}, keep=2)
    (tmp_path / "config.cfg").write_text(small_mlp.to_flagfile())
    with pytest.raises(checkpoint.CheckpointError, match="images-0+8.npz.* level 3"):
        checkpoint.load_networks(tmp_path)
