import os

import numpy as np
import pytest

from alae_tf.config import Config, ConfigError
from alae_tf.images import picture
from alae_tf.runs.directory import (
    MARKS,
    STARTED,
    RunDirectory,
    RunTakenError,
    differences,
    existing_run,
    images_of,
)
from alae_tf.runs.metrics import FIRST, SPEED
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import write_atomic


def test_a_new_directory_gets_a_flagfile_that_repeats_the_run(tmp_path):
    directory, config = RunDirectory(tmp_path / "run"), Config(seed=3)
    directory.check(config, "auto")
    assert not directory.path.exists()  # checking writes nothing
    directory.open()
    directory.write_config(config)
    assert Config.load(directory.config_path) == config
    directory.check(config, "auto")


@pytest.mark.parametrize(
    ("resume", "changes", "message"),
    [
        ("never", {}, "--resume=never"),
        ("must", {}, "has no checkpoint"),
        ("auto", {"latent_size": 9}, "latent_size: 256 before, 9 now"),
        ("auto", {"encoder_codes": "layers"}, "encoder_codes: w before, layers now"),
    ],
)
def test_a_directory_with_a_run(tmp_path, resume, changes, message):
    RunDirectory(tmp_path).write_config(Config())
    with pytest.raises(ConfigError, match=message):
        RunDirectory(tmp_path).check(Config(**changes), resume)


def test_what_is_empty_is_called_none():
    lines = differences(Config(), Config(init_from="digits", data="mnist5k:"))
    assert lines["init_from"] == "init_from: none before, digits now"


def test_a_run_may_be_made_longer(tmp_path):
    RunDirectory(tmp_path).write_config(Config())
    RunDirectory(tmp_path).check(Config(epochs=100.0, keep_checkpoints=9), "auto")


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(AlaeError, match="--run_dir"):
        RunDirectory(tmp_path).check(Config(), "auto")
    with pytest.raises(AlaeError, match="--run_dir"):
        RunDirectory(tmp_path / "thesis.tex").check(Config(), "auto")


def test_one_process_at_a_time(tmp_path):
    first = RunDirectory(tmp_path)
    first.open()
    with pytest.raises(ConfigError, match="--run_dir=.*another process"):
        RunDirectory(tmp_path).open()
    first.close()
    first.open()
    first.close()


def test_the_previous_config_is_kept_when_a_run_continues_with_another(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_config(Config(epochs=1.0))
    directory.write_config(Config(epochs=1.0), images_seen=8)
    assert [path.name for path in tmp_path.iterdir()] == ["config.cfg"]
    directory.write_config(Config(epochs=2.0), images_seen=16)
    assert Config.load(directory.config_path).epochs == 2.0
    assert Config.load(tmp_path / "config-until-16.cfg").epochs == 1.0
    directory.write_config(Config(epochs=3.0), images_seen=16)  # killed before it saved anything
    assert Config.load(tmp_path / "config-until-16.cfg").epochs == 1.0


def test_a_path_that_cannot_be_looked_at(tmp_path):
    with pytest.raises(AlaeError, match="--run_dir=.*too long"):
        RunDirectory(tmp_path / ("x" * 300)).check(Config(), "auto")


def test_write_atomic_is_whole_or_nothing(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_without_its_checkpoints_is_not_started_again(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_config(Config())
    directory.metrics.add(dict.fromkeys((*FIRST, *SPEED), 0.5) | {"images_seen": 20, "level": 0})
    directory.metrics.rewind(0, [])
    directory.metrics.write()
    text = directory.metrics.path.read_text()
    with pytest.raises(ConfigError, match="--run_dir=.* 20 images"):
        directory.check(Config(), "auto")
    directory.samples.mkdir()
    (directory.samples / "images-000000000064.png").touch()  # a run too short for a row
    with pytest.raises(ConfigError, match="--run_dir=.* 64 images"):
        directory.check(Config(), "auto")
    directory.checkpoints.write_text("no directory")
    with pytest.raises(ConfigError, match="--run_dir=.*checkpoints"):
        directory.check(Config(), "auto")
    directory.checkpoints.unlink()
    directory.checkpoints.mkdir()
    (directory.checkpoints / "images-000000000020.npz").touch()
    directory.check(Config(), "auto")
    assert directory.metrics.path.read_text() == text


def test_a_directory_that_another_process_recreated_is_left_to_it(tmp_path):
    path = tmp_path / "run"
    first, second = RunDirectory(path), RunDirectory(path)
    first.open()
    first.write_config(Config())
    first.require()
    path.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        first.require()
    second.open()
    second.write_config(Config())
    second.require()
    with pytest.raises(RunTakenError, match="--run_dir="):
        first.require()
    second.close()
    with pytest.raises(RunTakenError):
        first.require()
    second.path.rename(tmp_path / "other")
    (tmp_path / "away").rename(path)
    first.require()
    first.lock_path.unlink()  # a copy that was put back without it
    first.require()
    first.close()


def test_what_a_kill_left_half_written_goes(tmp_path):
    directory = RunDirectory(tmp_path)
    for folder in (directory.path, directory.samples, directory.checkpoints):
        folder.mkdir(exist_ok=True)
        (folder / f".alae-{16 * '0'}.partial").write_bytes(b"half")
        (folder / "a.png").write_bytes(b"whole")
    directory.sweep()
    assert {path.name for path in tmp_path.rglob("*.*")} == {"a.png"}


def test_relative_images_are_those_where_the_run_was_started(small, tmp_path, monkeypatch):
    start, elsewhere = tmp_path / "a\nb", tmp_path / "elsewhere"
    for folder in (start, elsewhere):
        (folder / "photos").mkdir(parents=True)
    monkeypatch.chdir(start)
    run = RunDirectory(tmp_path / "run")
    config = small.replace(data="folder:photos?test=held&channels=1")
    run.open()
    run.write_config(config)
    run.close()
    assert Config.load(run.config_path) == config
    assert images_of(run.path, config.data) == config.data
    run.check(config, "auto")
    monkeypatch.chdir(elsewhere)
    expected = f"folder:{start}/photos?test={start}/held&channels=1"
    assert images_of(run.path, config.data) == expected
    assert images_of(run.path, "mnist5k:") == "mnist5k:"
    assert images_of(run.path, "tfds:mnist?data_dir=d") == f"tfds:mnist?data_dir={start}/d"
    with pytest.raises(ConfigError, match="--data=folder:photos"):
        run.check(config, "auto")
    run.check(config.replace(data=expected), "auto")
    (start / "photos").rmdir()  # moved, with the run: these are the same images
    run.check(config, "auto")
    run.config_path.write_text(config.to_flagfile())  # of an earlier version
    assert images_of(run.path, config.data) == config.data


def test_the_images_of_a_shipped_model_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = existing_run("faces64")
    assert images_of(path, "folder:faces", "--data") == "folder:faces"
    said = capsys.readouterr().err
    assert f"--run_dir={path}" in said and f"folder:{tmp_path}/faces" in said and "--data" in said
    for uri in ("mnist5k:", "tfds:mnist", f"folder:{tmp_path}/faces?test=0.1"):
        assert images_of(path, uri, "--data") == uri
    assert capsys.readouterr().err == ""


def test_the_place_of_a_run_may_have_become_a_link(small, tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "photos").mkdir(parents=True)
    monkeypatch.chdir(old)
    run = RunDirectory(tmp_path / "run")
    config = small.replace(data="folder:photos")
    run.open()
    run.write_config(config)
    run.close()
    old.rename(new)
    old.symlink_to(new)
    monkeypatch.chdir(old)
    run.check(config, "auto")
    assert images_of(run.path, config.data) == config.data


@pytest.mark.parametrize("start", ["[" * 10**5, "[1]", "1e999", '"', "null"])
def test_a_damaged_start(small, tmp_path, start):
    path = tmp_path / "config.cfg"
    path.write_text(f"{STARTED}{start}\n{small.to_flagfile()}")
    assert images_of(tmp_path, small.data) == small.data


@pytest.mark.parametrize("name", ["report.html", "losses.png", "checkpoints/best.json"])
def test_a_directory_in_the_place_of_a_file(tmp_path, name):
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    run.write_config(Config())
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match=f"--run_dir=.*{(tmp_path / name).name}"):
        run.check(Config(), "auto")


@pytest.mark.parametrize("name", ["report.html", "losses.png", "samples/images-000000000008.png"])
@pytest.mark.parametrize("make", ["write", "link", "pipe"])
def test_a_file_that_a_run_did_not_write_is_kept(tmp_path, capsys, name, make):
    path, mine = tmp_path / "run" / name, tmp_path / "mine"
    path.parent.mkdir(parents=True)
    ours = b"..." + MARKS[path.suffix] + b"..."
    mine.write_bytes(ours if make == "link" else picture.png(np.zeros([1, 1, 1], np.uint8)))
    if make == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(mine) if make == "link" else path.write_bytes(mine.read_bytes())
    before, run = path.lstat(), RunDirectory(tmp_path / "run")
    for _ in range(2):
        run.replace(path, ours)
    assert path.lstat() == before
    assert capsys.readouterr().err.count(str(path)) == 1
    path.unlink()
    for data in (ours, ours + b"newer"):
        run.replace(path, data)
        assert path.read_bytes() == data


def test_a_lock_of_another_program(tmp_path):
    run = RunDirectory(tmp_path)
    run.open()
    run.write_config(Config())
    run.close()
    RunDirectory(tmp_path).check(Config(), "auto")
    run.lock_path.write_text("the user's")
    with pytest.raises(ConfigError, match="--run_dir=.*.lock"):
        RunDirectory(tmp_path).check(Config(), "auto")
    run.config_path.unlink()
    with pytest.raises(ConfigError, match="--run_dir=.*.lock"):
        RunDirectory(tmp_path).check(Config(), "auto")
    assert run.lock_path.read_text() == "the user's"
