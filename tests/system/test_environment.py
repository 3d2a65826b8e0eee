"""The environment of a process, in a new process for each case."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alae_tf.system import environment
from tests.paths import ROOT


def run(arguments, *, env=None, **options):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"} | (env or {})
    return subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, **options
    )


SOUND = """
import sys
from alae_tf.system.environment import start
def main():
    from alae_tf.networks import check_keras
    check_keras()
    import keras, matplotlib
    assert keras.config.floatx() == "float32", keras.config.floatx()
    assert keras.config.image_data_format() == "channels_last"
    assert matplotlib.get_backend().lower() == "agg"
sys.exit(start(main))
"""


def test_a_command_replaces_the_backends_of_others(tmp_path):
    keras_json = '{"backend": "jax", "floatx": "float16", "image_data_format": "channels_first"}'
    (tmp_path / "keras.json").write_text(keras_json)
    env = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "jax",
        "MPLBACKEND": "no_such_backend",
    }
    done = run(["-c", SOUND], env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("env", "text", "named"),
    [
        ({"KERAS_BACKEND": "jax"}, "{}", "KERAS_BACKEND=jax"),
        ({}, '{"floatx": "float16"}', "float16"),
        ({}, '{"backend": "no_such_backend"}', "keras.json"),
        ({"MPLBACKEND": "no_such_backend"}, "{}", "MPLBACKEND"),
    ],
)
def test_a_library_names_what_it_cannot_work_with(tmp_path, env, text, named):
    (tmp_path / "keras.json").write_text(text)
    code = """
import os, sys
from alae_tf.system.errors import AlaeError
before = dict(os.environ)
try:
    import alae_tf.networks
except AlaeError as error:
    print(error)
else:
    sys.exit("taken")
assert os.environ.get("MPLBACKEND") == before.get("MPLBACKEND")
"""
    clean = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": ""}
    done = run(["-c", code], env=clean | env)
    assert done.returncode == 0, done.stderr
    assert named in done.stdout


def test_output_that_cannot_be_encoded_is_escaped(tmp_path):
    run_dir = tmp_path / "für"
    code = ["-m", "alae_tf", "evaluate", f"--run_dir={run_dir}"]
    done = run(code, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "f\\xfcr" in done.stderr
    for command in (["alae_tf", "export"], ["alae_tf", "train"], ["export"]):
        done = run(["-m", *command, "--help"], env={"PYTHONIOENCODING": "ascii"}, cwd=ROOT)
        assert done.returncode == 0, done.stderr


def test_without_a_home_the_cache_is_a_temporary_folder_announced_once(monkeypatch, capsys):
    monkeypatch.delenv("ALAE_TF_CACHE", raising=False)

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    environment._temporary.cache_clear()
    folder = environment.cache()
    try:
        assert folder.is_dir() and folder.is_absolute()
        assert environment.cache() == folder
        assert capsys.readouterr().err.count(str(folder)) == 1
    finally:
        folder.rmdir()
        environment._temporary.cache_clear()


BLOCKED = """
import sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
"""


def test_encoding_on_a_device_needs_no_unix(tmp_path):
    done = run(["-c", BLOCKED + "import export.encode, alae_tf.__main__"], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "tensorflow" not in done.stderr


def test_a_system_without_locks_is_named(tmp_path):
    code = (
        BLOCKED
        + f"from alae_tf.runs.directory import RunDirectory\nRunDirectory({str(tmp_path)!r}).open()"
    )
    done = run(["-c", code])
    assert done.returncode == 1
    assert "AlaeError" in done.stderr and "Linux" in done.stderr
