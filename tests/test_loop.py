"""The loop inside this process, where faults can be put in its way."""

import pytest
import tensorflow as tf

from alae_tf import checkpoint, loop
from alae_tf.run_dir import RunDirectory


@pytest.fixture
def one_device(monkeypatch):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    monkeypatch.setattr(loop, "make_strategy", lambda config: strategy)


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    config = small_mlp.replace(
        data="mnist5k:", image_size=28, epochs=0.01, checkpoint_minutes=1e-9, flip=False
    )
    save, calls = checkpoint.save, []

    def full(*args):
        calls.append(args)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return save(*args)

    monkeypatch.setattr(checkpoint, "save", full)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert f"--run_dir={tmp_path}: No space left on device" in message
    assert "The checkpoint at 8 images is kept" in message
    assert len(checkpoint.list_checkpoints(tmp_path)) == 2
