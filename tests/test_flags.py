"""Flags ↔ Config, each case in a process of its own: absl's flags are global."""

import subprocess
import sys

import pytest

from alae_tf.config import GROUPS
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
        ("--architecture=cnn", "--architecture=cnn: must be one of style, mlp"),
        ("levels=4", "'levels=4' is not a flag"),
        ("--levels=99999999999999999999", "--levels=99999999999999999999: must be 1 to 9"),
        ("--epochs=1e308", "--epochs=1e+308: must be more than 0, and at most"),
        ("--flagfile=none.cfg", "--flagfile=none.cfg: no such file, and none of the shipped"),
        ("--slow_copy_images=5000", "--slow_copy_images: is called --ema_images now"),
        ("--levels", "--levels: has no value; write --levels=VALUE"),
        ("--data=folder:/\udce9", "--data=folder:/\\udce9: is not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(argument, message):
    done = some(argument, "--seed=1")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_name_in_a_flagfile_is_refused(tmp_path):
    path = tmp_path / "old.cfg"
    path.write_text("--levels=4\n--slow_copy_images=5000\n")
    done = some(f"--flagfile={path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--slow_copy_images: is called --ema_images now" in done.stderr


def test_values_may_follow_a_blank_and_quotes_and_blanks_go_both_ways(tmp_path):
    path = tmp_path / "quoted.cfg"
    path.write_text('--data="folder:/a \\n"\n')
    done = some(f"--flagfile={path}", "--levels", "3", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert '--data="folder:/a \\n"\n' in done.stdout
    assert "--levels=3\n" in done.stdout


def test_what_an_mlp_passes_over_is_told():
    done = some("--architecture=mlp", "--levels=1", "--style_mixing=0.5")
    assert done.returncode == 0
    assert done.stderr == "--style_mixing: passed over, --architecture=mlp has no use for it.\n"


def test_help_is_grouped_and_tells_defaults_and_needs_no_tensorflow():
    for flag in ("--help", "-h"):
        script = f"{SCRIPT.replace('flags.run', 'try: flags.run')}"
        script += "finally: assert not {'tensorflow', 'keras'} & set(__import__('sys').modules)"
        command = [sys.executable, "-c", script, flag, "--flagfile=configs/smoke.cfg"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        places = [done.stdout.index(f"\n{group}:\n  {text}\n") for group, text in GROUPS.items()]
        assert places == sorted(places)
        words = " ".join(done.stdout.split())
        assert "--flagfile FILE flags from a file" in words
        assert "-h, --help" in words
        assert "[LOD_2_BATCH_8GPU]. Default: 128 --learning" in words
        assert "--flip, --noflip Mirror images" in words
        assert "--latent_update {EG,EFG}" in words


def test_ctrl_c_before_the_work_begins_is_one_line():
    script = SCRIPT.replace("lambda: print(flags.read_config().to_flagfile())", "stop")
    stop = "def stop():\n    raise KeyboardInterrupt\n"
    command = [sys.executable, "-c", stop + script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "some: stopped.\n")
