"""--checkpoint=newest|best|N, which every command that takes a run accepts."""

import pytest

import export.__main__ as exporting
from alae_tf import directions, evaluate
from alae_tf.figures import __main__ as figures
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import best_checkpoint, chosen_checkpoint
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


@pytest.mark.parametrize("text", ["", "{}", '{"images_seen": 9}', "[" * 10**5])
def test_a_damaged_or_lost_best_checkpoint_is_none(tmp_path, text):
    save(tmp_path, 8)
    (tmp_path / "checkpoints/best.json").write_text(text)
    assert best_checkpoint(tmp_path) is None
    checkpoint.mark_best(tmp_path, ABOUT | {"images_seen": 16})
    assert best_checkpoint(tmp_path) is None
    with pytest.raises(CheckpointError, match="--checkpoint=best"):
        chosen_checkpoint(tmp_path, "best")


def test_nothing_is_deleted_while_it_cannot_be_read_which_is_the_best(tmp_path):
    for images_seen in (8, 16):
        save(tmp_path, images_seen)
    path = tmp_path / "checkpoints/best.json"
    path.symlink_to(path)
    with pytest.raises(OSError, match="best.json"):
        save(tmp_path, 24, keep=1)
    assert checkpoint.checkpoint_numbers(tmp_path) == [8, 16, 24]
