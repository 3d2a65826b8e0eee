"""The loop inside this process, where faults can be put in its way."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alae_tf.config import Config, ConfigError
from alae_tf.data import DataError
from alae_tf.data.arrays import ArraySource
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory, checkpoint_numbers, chosen_checkpoint
from alae_tf.training import loop, progress, recorder, saver


@pytest.fixture
def digits(small_mlp, one_device):
    """Six iterations of eight digits on one device."""
    return small_mlp.replace(data="mnist5k:", image_size=28, epochs=0.01, flip=False)


def before_iterations(monkeypatch, act):
    """Calls `act(run)` before each iteration."""
    iterate = loop.Run.iterate

    def acting(self, *args):
        act(self)
        iterate(self, *args)

    monkeypatch.setattr(loop.Run, "iterate", acting)


def test_a_full_disk_stops_the_run_and_keeps_what_was_saved(digits, tmp_path, monkeypatch, capsys):
    config = digits.replace(checkpoint_minutes=1e-9)
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
    digits, tmp_path, monkeypatch, capsys
):
    config = digits.replace(checkpoint_minutes=1e-9, log_images=8, sample_images=16)
    monkeypatch.setattr(saver, "RETRY_SECONDS", 0.0)
    run_dir, away = tmp_path / "run", tmp_path / "away"

    def with_a_gap(run):
        if run.progress.images_seen == 16:
            run_dir.rename(away)
        if run.progress.images_seen == 32:
            assert run.saver.saved_at == 16
            assert not run_dir.exists()  # nothing was made in its place
            away.rename(run_dir)

    before_iterations(monkeypatch, with_a_gap)
    assert loop.train(config, RunDirectory(run_dir)) == 0
    message = capsys.readouterr().err
    assert message.count(f"{run_dir}: ") == 2  # unreachable, then reachable again
    assert message.count(f"{run_dir}: is reachable") == 1
    assert [int(path.stem[7:]) for path in checkpoint.list_checkpoints(run_dir)] == [16, 40, 48]
    rows = RunDirectory(run_dir).metrics.rows()
    assert [int(row["images_seen"]) for row in rows] == [8, 16, 24, 32, 40, 48]


def test_a_run_directory_that_stays_away_ends_the_run(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(saver, "PATIENCE_SECONDS", 0.0)
    run_dir = tmp_path / "run"

    def lost(run):
        if run.progress.images_seen == 16:
            run_dir.rename(tmp_path / "away")

    before_iterations(monkeypatch, lost)
    assert loop.train(digits, RunDirectory(run_dir)) == 1
    assert f"--run_dir={run_dir}: is unreachable" in capsys.readouterr().err


def test_max_hours_saves_and_asks_to_be_run_again(digits, tmp_path, capsys):
    config = digits.replace(max_hours=1e-9)
    assert loop.train(config, RunDirectory(tmp_path)) == 75
    assert "--max_hours=1e-09" in capsys.readouterr().err
    config = config.replace(max_hours=0.0, epochs=0.005)
    assert loop.train(config, RunDirectory(tmp_path)) == 0


@pytest.mark.slow
def test_float16_trains_and_continues_with_its_loss_scale(small, tmp_path, one_device):
    config = small.replace(precision="float16", data="mnist5k:", epochs=0.004)
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    _, entries, _ = checkpoint.read_newest(tmp_path)
    assert 0 < entries["loss_scale/value"] <= 2.0**15
    before = entries["loss_scale/good"]
    assert loop.train(config.replace(epochs=0.006), RunDirectory(tmp_path), "must") == 0
    _, entries, _ = checkpoint.read_newest(tmp_path)
    assert entries["loss_scale/good"] == before + 3 or entries["loss_scale/value"] < 2.0**15


def test_a_full_disk_under_tensorboard_is_not_reported_as_memory(
    digits, tmp_path, monkeypatch, capsys
):

    def full(self):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    writer = tf.summary.create_noop_writer()
    writer.flush = lambda: full(writer)
    monkeypatch.setattr(recorder, "event_writer", lambda *arguments: writer)
    assert loop.train(digits, RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert f"--run_dir={tmp_path}: No space left on device" in message
    assert "memory" not in message


def test_weights_that_are_not_finite_are_never_saved(digits, tmp_path, monkeypatch, capsys):
    config = digits.replace(checkpoint_minutes=1e-9, keep_checkpoints=1)

    def spoiled(run):
        if run.progress.images_seen == 24:  # as by update 3, whose loss was finite
            run.progress.trainer.alae.E.hidden_1.bias.assign([float("nan")] * 16)
            run.save()

    before_iterations(monkeypatch, spoiled)
    assert loop.train(config, RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert "alae/E/hidden_1/bias" in message and "checkpoint at 24 images" in message
    _, entries, _ = checkpoint.read_newest(tmp_path)
    assert all(np.isfinite(value).all() for value in entries.values())


def test_networks_that_do_not_fit_into_memory(digits, tmp_path, monkeypatch, capsys):
    def too_large(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(progress, "Trainer", too_large)
    assert loop.train(digits, RunDirectory(tmp_path)) == 1
    assert "out of memory" in capsys.readouterr().err


def test_a_full_disk_while_a_run_continues_is_reported(digits, tmp_path, monkeypatch, capsys):
    def full(*args):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(recorder, "event_writer", full)
    assert loop.train(digits, RunDirectory(tmp_path)) == 1
    assert f"--run_dir={tmp_path}: No space left on device" in capsys.readouterr().err


def test_ctrl_c_outside_the_loop_says_what_is_kept(digits, tmp_path, monkeypatch, capsys):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Run, "iterate", interrupted)
    assert loop.train(digits, RunDirectory(tmp_path)) == 130
    assert "checkpoint at 0 images" in capsys.readouterr().err


def test_building_graphs_is_announced_and_does_not_count_for_the_speed(
    digits, tmp_path, monkeypatch, capsys
):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    step = progress.Trainer.step

    def slow(self, *args):  # 100 s for the first iteration, of which 99 build the graph; then 1 s
        nonlocal now
        now += 1.0 if self.traces else 100.0
        return step(self, *args)

    monkeypatch.setattr(progress.Trainer, "step", slow)
    config = digits.replace(log_images=24, checkpoint_minutes=1e6)
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    rows = RunDirectory(tmp_path).metrics.rows()
    assert [float(row["building_seconds"]) for row in rows] == [100.0, 0.0]
    assert [float(row["images_per_second"]) for row in rows] == [8.0, 8.0]
    assert capsys.readouterr().err.count("building the graphs of level 0") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "kept"),
    [(24, range(32, 96, 8)), pytest.param(96, [96], marks=pytest.mark.slow)],
)
def test_images_that_are_lost_on_the_way_lose_no_training(
    small, tmp_path, monkeypatch, capsys, one_device, images, kept
):
    image, seen = ArraySource.image, []

    def lost(self, index):
        if seen and seen[-1] >= images:  # 96: at the beginning of level 1
            raise DataError("--data=x: image 7 cannot be read.")
        return image(self, index)

    def noted(run):
        seen.append(run.progress.images_seen)

    monkeypatch.setattr(ArraySource, "image", lost)
    before_iterations(monkeypatch, noted)
    assert loop.train(small.replace(data="mnist5k:"), RunDirectory(tmp_path)) == 1
    message = capsys.readouterr().err
    assert "image 7" in message and f"checkpoint at {seen[-1]} images" in message
    state = checkpoint.read_newest(tmp_path)[2]
    assert state["images_seen"] == seen[-1] in kept  # some batches had been read ahead
    assert (state["level"], state["blend"]) == (0, 1.0)  # level 1 begins when it continues


def test_images_that_cannot_be_read_at_the_start_end_it_before_any_work(
    digits, tmp_path, monkeypatch
):
    def lost(self, index):
        raise DataError("--data=x: image 7 cannot be read.")

    monkeypatch.setattr(ArraySource, "image", lost)
    with pytest.raises(DataError):
        loop.train(digits, RunDirectory(tmp_path))
    assert not (tmp_path / "config.cfg").exists()


@pytest.mark.slow
def test_levels_that_lie_ahead_may_be_made_longer(small, tmp_path, capsys, one_device):
    config = small.replace(data="mnist5k:", epochs=0.01)  # in level 0, which lasts 90 images
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    longer = config.replace(epochs_by_level=(0.02, 0.5), epochs=0.03)  # 24 images into level 1
    assert loop.train(longer, RunDirectory(tmp_path)) == 0
    said = capsys.readouterr().err
    assert "epochs_by_level: (0.02, 0.02)" in said
    assert Config.load(tmp_path / "config-until-48.cfg") == config
    state = checkpoint.read_newest(tmp_path)[2]
    assert (state["images_seen"], state["level"]) == (136, 1)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.cfg")}
    for refused in ((0.03, 0.5), (0.02, 0.25)):
        changed = longer.replace(epochs_by_level=refused, epochs=1.0)
        with pytest.raises(ConfigError, match="--epochs_by_level=.*level 1, blend .* 0, 90 images"):
            loop.train(changed, RunDirectory(tmp_path))
    with pytest.raises(ConfigError, match="--epochs=0.02: .* 90 images, .* 136; give 0.03"):
        loop.train(longer.replace(epochs=0.02), RunDirectory(tmp_path))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.cfg")} == files


def test_a_batch_larger_than_the_run_is_reported(digits, tmp_path, capsys):
    config = digits.replace(batch_by_level=(64,))
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    said = capsys.readouterr().err
    assert "ends after 64 images, not 45 (--epochs=0.01)" in said
    assert "100%" in said and "64.0/64.0" in said  # the bar's last line


def test_memory_that_runs_out_while_a_run_continues(digits, tmp_path, monkeypatch, capsys):
    def full(*args):
        raise MemoryError

    monkeypatch.setattr(checkpoint, "read_npz", full)
    assert loop.train(digits, RunDirectory(tmp_path)) == 0
    assert loop.train(digits, RunDirectory(tmp_path)) == 1
    assert "train: out of memory" in capsys.readouterr().err


def test_a_recreated_directory_is_left_to_the_other_run(digits, tmp_path, monkeypatch, capsys):
    config = digits.replace(checkpoint_minutes=1e-9)
    run_dir = tmp_path / "run"
    other = RunDirectory(run_dir)

    def replaced(run):
        if run.progress.images_seen == 16:
            run_dir.rename(tmp_path / "old")
            other.open()
            other.write_config(config)

    before_iterations(monkeypatch, replaced)
    assert loop.train(config, RunDirectory(run_dir)) == 1
    other.close()
    assert f"--run_dir={run_dir}: " in capsys.readouterr().err
    assert sorted(path.name for path in run_dir.iterdir()) == [".lock", "config.cfg"]


def test_health_and_augmentation_are_recorded(digits, tmp_path):
    """In metrics.csv and TensorBoard; with every row, and with the row that follows a grid."""
    config = digits.replace(augment="ada", augment_images=100.0, sample_images=16, log_images=16)
    assert loop.train(config, RunDirectory(tmp_path)) == 0
    *_, last = RunDirectory(tmp_path).metrics.rows()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    for name in ("augment_p", "health/spread", "health/logit_test", "health/ema_age"):
        event = board.Tensors(name)[-1]
        assert event.step == 48
        assert tf.make_ndarray(event.tensor_proto) == pytest.approx(float(last[name]), rel=1e-4)


def test_a_run_measures_itself(digits, tmp_path):
    """Every 24 images, into the row that follows; the model is the one of that moment."""
    config = digits.replace(log_images=16, evaluate_images=24)
    seen = []

    def make_measure(source):
        assert len(source) == 4500

        def measure(model):
            seen.append(model.images_seen)
            return {"value": float(model.images_seen)}

        return measure, {"value": "lower"}

    assert loop.train(config, RunDirectory(tmp_path), make_measure=make_measure) == 0
    assert seen == [24, 48]
    rows = RunDirectory(tmp_path).metrics.rows()
    assert [(row["images_seen"], row["value"]) for row in rows] == [
        ("16", ""),
        ("32", "24"),
        ("48", "48"),
    ]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), np.linalg.LinAlgError("no"), MemoryError()]
)
def test_a_measure_that_fails_is_reported_once(digits, tmp_path, capsys, error):
    config = digits.replace(log_images=16, evaluate_images=16)

    def measure(model):
        if model.images_seen < 48:
            raise error
        return {"value": 1.0}

    def make_measure(source):
        return measure, {"value": "lower"}

    assert loop.train(config, RunDirectory(tmp_path), make_measure=make_measure) == 0
    assert capsys.readouterr().err.count(type(error).__name__) == 1
    values = [row["value"] for row in RunDirectory(tmp_path).metrics.rows()]
    assert values == ["", "", "1"]


def test_a_measure_can_still_be_stopped(digits, tmp_path):
    config = digits.replace(evaluate_images=16)

    def measure(model):
        raise KeyboardInterrupt

    found = loop.train(config, RunDirectory(tmp_path), make_measure=lambda source: (measure, {}))
    assert found == 130


def test_a_measure_that_is_impossible_ends_it_before_any_work(digits, tmp_path):
    config = digits.replace(evaluate_images=24)

    def make_measure(source):
        raise ConfigError("--evaluate_metrics=fid: no weights")

    with pytest.raises(ConfigError, match="no weights"):
        loop.train(config, RunDirectory(tmp_path / "run"), make_measure=make_measure)
    assert not (tmp_path / "run").exists()


def test_images_that_may_change_their_class_are_reported_before_any_work(digits, tmp_path, capsys):
    def make_measure(source):
        raise ConfigError("stop")

    config = digits.replace(flip=True, augment="ada")
    with pytest.raises(ConfigError, match="stop"):
        loop.train(config, RunDirectory(tmp_path / "run"), make_measure=make_measure)
    flags = "--flip=true, --augment_operations=geometry,colour"
    assert f"{flags}: a mirrored or turned image" in capsys.readouterr().err


def test_a_share_that_leaves_less_than_a_batch_ends_it_before_any_work(digits, tmp_path):
    for number in range(9):
        Image.new("L", (28, 28)).save(tmp_path / f"{number}.png")
    config = digits.replace(data=f"folder:{tmp_path}?channels=1&test=0.5")
    with pytest.raises(DataError, match="test=0.5: leaves .* 8; .*--batch_by_level"):
        loop.train(config, RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_best_checkpoint_is_kept_and_reported(digits, tmp_path, capsys):
    """Of values 3, 1, 2 the second is the best; one checkpoint is kept beside it."""
    config = digits.replace(evaluate_images=16, keep_checkpoints=1, log_images=48)
    values = iter([3.0, 1.0, 2.0])

    def make_measure(source):
        return lambda model: {"other": 0.0, "value": next(values)}, {
            "other": "neither",
            "value": "lower",
        }

    assert loop.train(config, RunDirectory(tmp_path), make_measure=make_measure) == 0
    assert "32 images (value = 1; --checkpoint=best)" in capsys.readouterr().out
    assert checkpoint_numbers(tmp_path) == [32, 48]
    assert chosen_checkpoint(tmp_path, "best") == 32
    assert loop.train(config.replace(epochs=0.02), RunDirectory(tmp_path)) == 0  # not measured
    assert checkpoint_numbers(tmp_path) == [32, 96]
