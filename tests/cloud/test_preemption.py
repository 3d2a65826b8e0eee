"""Two workers over S3, one of which is killed again and again, as on preemptible machines."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from alae_tf.cloud.storage import Storage
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import checkpoint_numbers, existing_run
from tests.paths import ROOT
from tests.training.test_strategy import tf_config

pytest.importorskip("s3fs", reason="the extra cloud is not installed")
pytest.importorskip("moto", reason="moto, of the extra dev, is not installed")
KILLS = int(os.environ.get("KILLS") or 10)


def start_two(run_dir, tmp_path, **environment):
    """Both workers; each has a cache of its own, as on a machine of its own."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    command = [
        *(sys.executable, "-m", "alae_tf.train", f"--flagfile={ROOT}/configs/smoke.cfg"),
        *("--epochs=0.2", "--checkpoint_minutes=0.0001", "--batch_by_level=8"),
        *("--evaluate_metrics=none", f"--run_dir={run_dir}"),
    ]
    processes = []
    for index in (0, 1):
        with open(tmp_path / f"worker{index}.log", "w") as log:
            own = {"TF_CONFIG": tf_config(ports, index)}
            own["ALAE_TF_CACHE"] = str(tmp_path / f"cache{index}")
            env = os.environ | own | environment
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=env))
    return processes


def newest(url):
    """Images seen at the newest checkpoint in storage; -1 without any."""
    names = [name for name in Storage("", url).list() if name.endswith(".npz")]
    return max((int(name[-16:-4]) for name in names), default=-1)


def wait_until(true, processes, tmp_path):
    """Waits for a condition; returns how long, in seconds."""
    begun = time.monotonic()
    while not true():
        assert all(process.poll() is None for process in processes), logs(tmp_path)
        time.sleep(0.1)
    return time.monotonic() - begun


def logs(tmp_path):
    return "\n".join(path.read_text()[-3000:] for path in tmp_path.glob("worker*.log"))


@pytest.mark.slow
def test_ten_kills_change_no_bit(cloud, tmp_path):
    whole = start_two(tmp_path / "whole", tmp_path)
    starting = wait_until(
        lambda: checkpoint_numbers(tmp_path / "whole")[-1:] > [0], whole, tmp_path
    )
    begun = time.monotonic()
    assert [process.wait(1800) for process in whole] == [0, 0], logs(tmp_path)
    iterating = time.monotonic() - begun
    moments, url = random.Random(0), f"{cloud}/run"
    for kill in range(KILLS):
        before = newest(url)
        both = start_two(url, tmp_path, ALAE_TF_LEASE_SECONDS="10")
        if kill % 3:
            wait_until(lambda seen=before: newest(url) > max(seen, 0), both, tmp_path)
            time.sleep(moments.uniform(0.0, 1.0) * iterating / KILLS)
        else:  # while it starts
            time.sleep(moments.uniform(0.2, 1.0) * starting)
        victim = moments.choice([0, 1])
        both[victim].send_signal(signal.SIGKILL)
        both[victim].wait()
        # A cluster stops the other parts of the job, which would otherwise fail by themselves.
        both[1 - victim].send_signal(signal.SIGKILL)
        both[1 - victim].wait()
        print(f"kill {kill + 1}, of worker {victim}, after {newest(url)} images", flush=True)
        if moments.random() < 0.5:  # restarted on another machine
            shutil.rmtree(tmp_path / f"cache{victim}", ignore_errors=True)
    assert 0 < newest(url) < checkpoint_numbers(tmp_path / "whole")[-1]
    both = start_two(url, tmp_path, ALAE_TF_LEASE_SECONDS="10")
    assert [process.wait(1800) for process in both] == [0, 0], logs(tmp_path)
    (_, ours, state), (_, theirs, other) = (
        checkpoint.read_newest(path) for path in (existing_run(url), tmp_path / "whole")
    )
    assert state == other
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
