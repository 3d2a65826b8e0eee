"""Flags ↔ Config, each case in a process of its own: absl's flags are global."""

import subprocess
import sys

import pytest

from tests.paths import ROOT

SCRIPT = """
from alae_tf import flags
flags.define_config_flags()
flags.run("some", lambda: print(flags.read_config().to_flagfile()))
"""


def some(*arguments):
    command = [sys.executable, "-c", SCRIPT, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_flagfile_then_changes():
    done = some("--flagfile=configs/smoke.cfg", "--seed=5", "--batch_by_level=8,4", "--noflip")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {"--seed=5", "--batch_by_level=8,4", "--flip=false"} <= set(lines)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--levles=4", "levles"),
        ("--levels=four", "--levels=four: must be a whole number"),
        ("--architecture=cnn", "architecture"),
        ("levels=4", "'levels=4' is not a flag"),
        ("--flagfile=none.cfg", "none.cfg"),
    ],
)
def test_what_is_wrong_is_named(argument, message):
    done = some(argument)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_before_the_work_begins_is_one_line():
    script = SCRIPT.replace("lambda: print(flags.read_config().to_flagfile())", "stop")
    stop = "def stop():\n    raise KeyboardInterrupt\n"
    command = [sys.executable, "-c", stop + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "some: stopped.\n")
