"""The loop inside this process, where faults can be put in its way."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop


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


def test_a_run_directory_that_goes_away_and_comes_back_loses_nothing(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    config = small_mlp.replace(
        data="mnist5k:",
        image_size=28,
        epochs=0.01,
        checkpoint_minutes=1e-9,
        log_images=8,
        sample_images=16,
        flip=False,
    )
    monkeypatch.setattr(loop, "RETRY_SECONDS", 0.0)
    run_dir, away = tmp_path / "run", tmp_path / "away"
    iterate = loop.Run.iterate

    def with_a_gap(self, *args):
        if self.images_seen == 16:
            run_dir.rename(away)
        if self.images_seen == 32:
            assert self.saved_at == 16
            assert not run_dir.exists()  # nothing was made in its place
            away.rename(run_dir)
        iterate(self, *args)

    monkeypatch.setattr(loop.Run, "iterate", with_a_gap)
    assert loop.train(config, RunDirectory(run_dir)) == 0
    message = capsys.readouterr().err
    assert message.count("is away; training goes on and saves when it is back") == 1
    assert message.count(f"{run_dir}: is back.") == 1
    assert [int(path.stem[7:]) for path in checkpoint.list_checkpoints(run_dir)] == [16, 40, 48]
    rows = RunDirectory(run_dir).read_metrics()
    assert [int(row["images_seen"]) for row in rows] == [8, 16, 24, 32, 40, 48]


def test_a_run_directory_that_stays_away_ends_the_run(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    config = small_mlp.replace(data="mnist5k:", image_size=28, epochs=0.01, flip=False)
    monkeypatch.setattr(loop, "PATIENCE_SECONDS", 0.0)
    run_dir, iterate = tmp_path / "run", loop.Run.iterate

    def lost(self, *args):
        if self.images_seen == 16:
            run_dir.rename(tmp_path / "away")
        iterate(self, *args)

    monkeypatch.setattr(loop.Run, "iterate", lost)
    assert loop.train(config, RunDirectory(run_dir)) == 1
    assert "is away. What was saved is there when it is back." in capsys.readouterr().err


def test_max_hours_saves_and_asks_to_be_run_again(small_mlp, tmp_path, capsys, one_device):
    config = small_mlp.replace(data="mnist5k:", image_size=28, flip=False, max_hours=1e-9)
    assert loop.train(config, RunDirectory(tmp_path)) == 75
    assert "stopped after --max_hours=1e-09" in capsys.readouterr().err
    config = config.replace(max_hours=0.0, epochs=0.005)
    assert loop.train(config, RunDirectory(tmp_path)) == 0


def test_float16_trains_and_goes_on_with_its_loss_scale(small, tmp_path, one_device):
    config = small.replace(precision="float16", data="mnist5k:", epochs=0.004)
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    _, entries = checkpoint.read_newest(tmp_path)
    assert 0 < entries["loss_scale/value"] <= 2.0**15
    before = entries["loss_scale/good"]
    assert loop.train(config.replace(epochs=0.006), RunDirectory(tmp_path), "must") == 0
    _, entries = checkpoint.read_newest(tmp_path)
    assert entries["loss_scale/good"] == before + 3 or entries["loss_scale/value"] < 2.0**15


def test_a_full_disk_under_tensorboard_is_told_as_such(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    config = small_mlp.replace(data="mnist5k:", image_size=28, epochs=0.01, flip=False)

    def full(self):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(loop.Events, "flush", full)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert f"--run_dir={tmp_path}: No space left on device" in message
    assert "memory" not in message


def test_weights_that_are_not_finite_are_never_saved(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    config = small_mlp.replace(
        data="mnist5k:", image_size=28, epochs=0.01, checkpoint_minutes=1e-9, keep_checkpoints=1
    )
    iterate = loop.Run.iterate

    def spoiled(self, *args):
        if self.images_seen == 24:  # as by update 3, whose loss was finite
            self.trainer.alae.E.hidden_1.bias.assign([float("nan")] * 16)
            self.save()
        iterate(self, *args)

    monkeypatch.setattr(loop.Run, "iterate", spoiled)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert "alae/E/hidden_1/bias is not finite after 24 images" in message
    assert "The checkpoint at 24 images is kept" in message
    _, entries = checkpoint.read_newest(tmp_path)
    assert all(np.isfinite(value).all() for value in entries.values())


def test_networks_that_do_not_fit_into_memory(small_mlp, tmp_path, monkeypatch, capsys, one_device):
    def too_large(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(loop, "Trainer", too_large)
    config = small_mlp.replace(data="mnist5k:", image_size=28)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    assert "out of memory for the networks alone" in capsys.readouterr().err


def test_a_full_disk_while_a_run_goes_on_is_told_as_such(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    def full(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(loop, "Events", full)
    config = small_mlp.replace(data="mnist5k:", image_size=28, flip=False)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    assert f"--run_dir={tmp_path}: No space left on device" in capsys.readouterr().err


def test_a_second_ctrl_c_stops_at_once_and_says_what_is_kept(
    small_mlp, tmp_path, monkeypatch, capsys, one_device
):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Run, "iterate", interrupted)
    config = small_mlp.replace(data="mnist5k:", image_size=28, flip=False)
    assert loop.train(config, RunDirectory(tmp_path)) == 130
    assert "stopped at once. No checkpoint was written." in capsys.readouterr().err
