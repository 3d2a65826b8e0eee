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

from alae_tf.runs import checkpoint
from alae_tf.runs.directory import existing_run
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
        *("--epochs=0.05", "--checkpoint_minutes=0.0001", "--batch_by_level=8"),
        *("--evaluate_metrics=none", f"--run_dir={run_dir}"),
    ]
    processes = []
    for index in (0, 1):
        with open(tmp_path / f"worker{index}.log", "a") as log:
            own = {"TF_CONFIG": tf_config(ports, index)}
            own["ALAE_TF_CACHE"] = str(tmp_path / f"cache{index}")
            env = os.environ | own | environment
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=env))
    return processes


@pytest.mark.slow
def test_ten_kills_change_no_bit(cloud, tmp_path):
    begun = time.monotonic()
    whole = start_two(tmp_path / "whole", tmp_path)
    assert [process.wait(600) for process in whole] == [0, 0]
    seconds, moments = time.monotonic() - begun, random.Random(0)
    url, kills = f"{cloud}/run", 0
    while True:
        both = start_two(url, tmp_path, ALAE_TF_LEASE_SECONDS="10")
        if kills == KILLS:
            assert [process.wait(600) for process in both] == [0, 0], logs(tmp_path)
            break
        time.sleep(moments.uniform(0.2, 1.0) * seconds)
        victim = moments.choice([0, 1])
        both[victim].send_signal(signal.SIGKILL)
        both[victim].wait()
        # A cluster stops the job's other parts; if they had noticed by themselves, they had failed.
        both[1 - victim].send_signal(signal.SIGKILL)
        both[1 - victim].wait()
        kills += 1
        if moments.random() < 0.5:  # restarted on another machine
            shutil.rmtree(tmp_path / f"cache{victim}", ignore_errors=True)
    (_, ours, state), (_, theirs, other) = (
        checkpoint.read_newest(path) for path in (existing_run(url), tmp_path / "whole")
    )
    assert state == other
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def logs(tmp_path):
    return "\n".join(path.read_text()[-3000:] for path in tmp_path.glob("worker*.log"))
