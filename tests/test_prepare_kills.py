"""Preparing, killed at any moment: shards that are finished stay, and the end is the same."""

import contextlib
import io
import random
import subprocess
import sys
import time

import pytest

from alae_tf import prepare
from tests.helpers.prepared import contents
from tests.paths import ROOT


def start(out):
    """mnist5k: at 64 px, in a process of its own; 64 shards, so that kills fall into many."""
    command = [sys.executable, "-m", "alae_tf.prepare", "--data=mnist5k:", f"--out={out}"]
    command += ["--max_resolution=64", "--shards=64"]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_after_start(out, shards, seconds):
    """Kills it some time after it finished that many new shards; the shards it left."""
    before = len(list(out.glob(".prepare/t*-*.json")))
    process = start(out)
    while process.poll() is None and len(list(out.glob(".prepare/t*-*.json"))) < before + shards:
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return len(list(out.glob(".prepare/t*-*.json")))


def ends_equal(out, tmp_path):
    process = start(out)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        whole = ["--data=mnist5k:", f"--out={tmp_path}/whole", "--max_resolution=64", "--shards=64"]
        assert prepare.main(whole) == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_killed_and_started_again_it_ends_equal(tmp_path):
    kept = kill_after_start(tmp_path / "out", shards=3, seconds=0)
    assert 3 <= kept < 72  # 64 of train and 8 of test
    notes = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/.prepare/t*-*.json")}
    ends_equal(tmp_path / "out", tmp_path)
    assert all(path.stat().st_mtime_ns == before for path, before in notes.items())


@pytest.mark.slow
def test_killed_20_times_at_random_moments_it_loses_nothing(tmp_path):
    draw, kept = random.Random(0), 0
    for _ in range(20):
        before = kept
        kept = kill_after_start(tmp_path / "out", draw.randint(0, 3), draw.uniform(0, 0.05))
        assert kept >= before
    assert 0 < kept
    print(f"{kept} shards finished before the last kill")
    ends_equal(tmp_path / "out", tmp_path)
