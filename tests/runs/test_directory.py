import pytest

from alae_tf.config import Config, ConfigError
from alae_tf.errors import AlaeError
from alae_tf.files import write_atomic
from alae_tf.runs.directory import COLUMNS, RunDirectory


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
        ("never", {}, "already holds a run"),
        ("must", {}, "has no checkpoint"),
        ("auto", {"latent_size": 9}, "latent_size: 256 there, 9 asked for"),
    ],
)
def test_a_directory_with_a_run(tmp_path, resume, changes, message):
    RunDirectory(tmp_path).write_config(Config())
    with pytest.raises(ConfigError, match=message):
        RunDirectory(tmp_path).check(Config(**changes), resume)


def test_a_run_may_be_made_longer(tmp_path):
    RunDirectory(tmp_path).write_config(Config())
    RunDirectory(tmp_path).check(Config(epochs=100.0, keep_checkpoints=9), "auto")


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(AlaeError, match="holds files but no run"):
        RunDirectory(tmp_path).check(Config(), "auto")
    with pytest.raises(AlaeError, match="is a file"):
        RunDirectory(tmp_path / "thesis.tex").check(Config(), "auto")


def test_one_process_at_a_time(tmp_path):
    first = RunDirectory(tmp_path)
    first.open()
    with pytest.raises(ConfigError, match="another process is training in it"):
        RunDirectory(tmp_path).open()
    first.close()
    RunDirectory(tmp_path).open()


def test_the_config_of_before_is_kept_when_a_run_goes_on_with_another(tmp_path):
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
    with pytest.raises(AlaeError, match="File name too long; give another directory"):
        RunDirectory(tmp_path / ("x" * 300)).check(Config(), "auto")


def test_metrics_rewind_to_a_checkpoint(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.write_config(Config())
    directory.rewind_metrics(0)
    for images in (10, 20, 30):
        directory.add_metrics(dict.fromkeys(COLUMNS, 0.123456789) | {"images_seen": images})
    with open(directory.metrics_path, "a") as file:
        file.write("40,0")  # cut short by a kill
    directory.rewind_metrics(20)
    rows = directory.read_metrics()
    assert [row["images_seen"] for row in rows] == ["10", "20"]
    assert rows[0]["loss_d"] == "0.123457"


def test_write_atomic_is_whole_or_nothing(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
