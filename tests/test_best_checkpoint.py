"""--checkpoint=newest|best|N, which every command that takes a run accepts."""

import json
import os

import numpy as np
import pytest

import export.__main__ as exporting
from alae_tf import directions, evaluate
from alae_tf.figures import __main__ as figures
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory, best_checkpoint, chosen_checkpoint
from alae_tf.system.errors import CheckpointError
from export import demo

ABOUT = {"level": 0, "value": "fd_lpips", "is": 1.5, "better": "lower"}


def save(run_dir, images_seen, keep=2):
    checkpoint.save({}, run_dir, {"images_seen": images_seen, "level": 0, "blend": 1.0}, keep)


@pytest.mark.parametrize(
    ("main", "flags"),
    [
        (evaluate.main, ["--run_dir=digits"]),
        (directions.main, ["--run_dir=digits", "--labels=components", "--out=new.json"]),
        (lambda given: figures.main(["generate", *given]), ["--run_dir=digits", "--out=new.png"]),
        (figures.generate, ["--run_dir=digits", "--out=new.png"]),
        (exporting.main, ["--run_dir=digits", "--out=new"]),
        (demo.main, ["--models=digits", "--out=new", "--build"]),
    ],
)
@pytest.mark.parametrize("asked", ["best", "last"])
def test_a_run_without_a_best_checkpoint(main, flags, asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*flags, f"--checkpoint={asked}"]) == 2
    said = capsys.readouterr().err
    assert f"--checkpoint{'s' * (main is evaluate.main and asked != 'best')}={asked}" in said
    assert list(tmp_path.iterdir()) == []


def test_the_best_is_kept_beside_the_newest(tmp_path):
    for images_seen in (8, 16):
        save(tmp_path, images_seen)
    checkpoint.mark_best(tmp_path, ABOUT | {"images_seen": 8})
    for images_seen in (24, 32, 40):
        save(tmp_path, images_seen)
    assert checkpoint.checkpoint_numbers(tmp_path) == [8, 32, 40]
    assert chosen_checkpoint(tmp_path, "best") == 8
    assert chosen_checkpoint(tmp_path, "32") == 32
    assert chosen_checkpoint(tmp_path, "newest") is chosen_checkpoint(tmp_path, None) is None
    checkpoint.mark_best(tmp_path, ABOUT | {"images_seen": 40})
    save(tmp_path, 48)
    assert checkpoint.checkpoint_numbers(tmp_path) == [40, 48]


DAMAGED = ["", "{}", '{"images_seen": 9}', "[" * 10**5, json.dumps(ABOUT | {"images_seen": "8"})]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_best_checkpoint_is_named_and_costs_none(small_mlp, tmp_path, capsys, text):
    save(tmp_path, 8)
    path = tmp_path / "checkpoints/best.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=f"--checkpoint=best: {path}"):
        chosen_checkpoint(tmp_path, "best")
    save(tmp_path, 16, keep=1)
    assert checkpoint.checkpoint_numbers(tmp_path) == [8, 16]
    assert str(path) in capsys.readouterr().err
    run = RunDirectory(tmp_path)
    run.write_config(small_mlp)
    with pytest.raises(CheckpointError, match=str(path)):
        run.check(small_mlp, "auto")
    assert path.read_text() == text


def test_a_best_checkpoint_that_was_deleted_is_named(small_mlp, tmp_path):
    save(tmp_path, 8)
    checkpoint.mark_best(tmp_path, ABOUT | {"images_seen": 16})
    with pytest.raises(CheckpointError, match="--checkpoint=best: .*best.json.* 16"):
        chosen_checkpoint(tmp_path, "best")
    assert best_checkpoint(tmp_path) is None  # training looks for another
    run = RunDirectory(tmp_path)
    run.write_config(small_mlp)
    run.check(small_mlp, "auto")


def test_nothing_is_deleted_while_it_cannot_be_read_which_is_the_best(tmp_path):
    for images_seen in (8, 16):
        save(tmp_path, images_seen)
    path = tmp_path / "checkpoints/best.json"
    path.symlink_to(path)
    with pytest.raises(OSError, match="best.json"):
        save(tmp_path, 24, keep=1)
    assert checkpoint.checkpoint_numbers(tmp_path) == [8, 16, 24]


def test_only_checkpoints_are_deleted(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    np.savez(folder / "images-000000000001.npz", mine=np.zeros(1))
    (folder / "images-000000000002.npz").write_text("the user's")
    (folder / "images-000000000003.npz").mkdir()
    os.mkfifo(folder / "images-000000000004.npz")
    for images_seen in (8, 16):
        save(tmp_path, images_seen, keep=1)
    assert sorted(int(path.stem[7:]) for path in folder.iterdir()) == [1, 2, 3, 4, 16]
    assert checkpoint.read_newest(tmp_path)[0].name == "images-000000000016.npz"
