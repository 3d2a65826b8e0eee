"""How a cluster is found, and two real workers on this machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.config import ConfigError
from alae_tf.runs import checkpoint
from alae_tf.training import strategy
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def tf_config(ports, index):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


def test_batches_that_the_replicas_do_not_divide(small):
    with pytest.raises(ConfigError, match="--batch_by_level=9"):
        strategy.make_strategy(small.replace(batch_by_level=(9,)))
    with pytest.raises(ConfigError, match="--accumulate=3.* 6"):
        strategy.make_strategy(small.replace(accumulate=3))
    assert strategy.make_strategy(small).num_replicas_in_sync == 2


def test_one_device_is_the_chief(small):
    one = strategy.make_strategy(small.replace(strategy="one_device", batch_by_level=(9,)))
    assert isinstance(one, tf.distribute.OneDeviceStrategy)
    assert strategy.is_chief(one)
    assert strategy.workers(one) == 1
    assert strategy.all_gather(one, 7) == [7]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        tf_config([1], 1),
        tf_config([1, 2], 0).replace('"type": "worker", ', ""),
        tf_config([1, 2], 0).replace('"type": "worker"', '"type": "evaluator"'),
        tf_config([1, 2], 0).replace('{"worker": [', '{"chief": ["a:1", "b:1"], "worker": ['),
        tf_config([1, 2], 0).replace('{"worker": [', '{"ps": ["a:1"], "worker": ['),
        tf_config([1, 2], 0).replace('"type": "worker"', '"type": "chief"'),
        '{"cluster": {"worker": "a:1,b:1"}, "task": {"type": "worker", "index": 0}}',
    ],
)
@pytest.mark.parametrize("kind", ["auto", "multi_worker"])
def test_a_wrong_tf_config(small, monkeypatch, kind, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        strategy.make_strategy(small.replace(strategy=kind))


def test_no_cluster(small):
    with pytest.raises(ConfigError, match="--strategy=multi_worker"):
        strategy.make_strategy(small.replace(strategy="multi_worker"))


def test_tf_config_names_the_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config([1, 2], 1))
    resolver = strategy.resolve_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    assert resolver.task_id == 1


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {}}'])
def test_an_empty_tf_config_is_none(small, monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert strategy.workers(strategy.make_strategy(small)) == 1
    with pytest.raises(ConfigError, match="--strategy=multi_worker"):
        strategy.make_strategy(small.replace(strategy="multi_worker"))


@pytest.mark.parametrize(("task", "index", "place"), [("chief", 0, 0), ("worker", 1, 2)])
def test_a_chief_stands_before_the_workers(monkeypatch, task, index, place):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    config = {"cluster": cluster, "task": {"type": task, "index": index}, "environment": "cloud"}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = SimpleNamespace(cluster_resolver=strategy.resolve_cluster())
    assert strategy.worker_index(found) == place
    assert strategy.is_chief(found) == (task == "chief")
    assert strategy.workers(found) == 3


def test_a_chief_alone_trains_on_this_machine(small, monkeypatch):
    cluster = {"chief": ["localhost:2222"]}
    config = {"cluster": cluster, "task": {"type": "chief", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    alone = strategy.make_strategy(small)
    assert strategy.is_chief(alone) and strategy.workers(alone) == 1


def test_slurm_names_the_workers(monkeypatch):
    monkeypatch.setattr(strategy.shutil, "which", lambda name: None)  # no GPUs
    for name, value in {
        "SLURM_PROCID": "3",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "node[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    }.items():
        monkeypatch.setenv(name, value)
    resolver = strategy.resolve_cluster()
    tasks = ["node1:8888", "node1:8889", "node2:8888", "node2:8889"]
    assert resolver.cluster_spec().as_dict() == {"worker": tasks}
    assert (resolver.task_type, resolver.task_id) == ("worker", 3)
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ConfigError, match="STEP_NODELIST"):
        strategy.resolve_cluster()


def test_kubernetes_names_the_workers(monkeypatch):
    def pod(name, address):
        status = SimpleNamespace(phase="Running", host_ip=address)
        return SimpleNamespace(metadata=SimpleNamespace(name=name), status=status)

    pods = [pod("alae-1-x", "10.0.0.9"), pod("alae-0-y", "10.0.0.4")]

    class Client:
        def list_pod_for_all_namespaces(self, label_selector):
            assert label_selector == "job-name=alae"
            return SimpleNamespace(items=pods)

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("ALAE_POD_LABEL", "job-name=alae")
    monkeypatch.setenv("ALAE_WORKERS", "2")
    monkeypatch.setenv("HOST_IP", "10.0.0.9")
    monkeypatch.setattr(strategy, "_kubernetes_client", Client)
    resolver = strategy.resolve_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": ["10.0.0.4:8470", "10.0.0.9:8470"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
    monkeypatch.setenv("HOST_IP", "10.0.0.5")
    with pytest.raises(ConfigError, match="10.0.0.5:8470"):
        strategy.resolve_cluster()
    monkeypatch.setattr(strategy, "KUBERNETES_SECONDS", 0.0)
    pods[0].status.phase = "Pending"
    with pytest.raises(ConfigError, match="alae-1-x"):
        strategy.resolve_cluster()
    pods.pop(0)
    with pytest.raises(ConfigError, match="ALAE_WORKERS=2"):
        strategy.resolve_cluster()


# Two workers


def start(run_dir, images, environment=None):
    """Training at 4 px in batches of eight, up to `images` of the 4,500."""
    flags = [
        f"--flagfile={ROOT}/configs/smoke.cfg",
        f"--run_dir={run_dir}",
        f"--epochs={images / 4500}",
        "--checkpoint_minutes=0.0001",
        "--batch_by_level=8",
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "alae_tf.train", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | (environment or {}),
    )


def start_two(run_dir, images):
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (one, two)]
    return [start(run_dir, images, {"TF_CONFIG": tf_config(ports, index)}) for index in (0, 1)]


def ends(processes):
    return [(process.communicate(timeout=200)[0], process.returncode) for process in processes]


def wait_for(processes, run_dir, images):
    deadline = time.monotonic() + 200
    while not any(int(path.stem[7:]) >= images for path in checkpoint.list_checkpoints(run_dir)):
        assert all(process.poll() is None for process in processes), ends(processes)
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of 64 images: from here on few gradients are rounding noise, as many are at first."""
    run_dir = tmp_path_factory.mktemp("begun") / "run"
    (result,) = ends([start(run_dir, 64)])
    assert result[1] == 0, result[0]
    return run_dir


@pytest.mark.slow
def test_two_workers_one_of_them_killed_end_as_one_process_does(begun, tmp_path):
    """The same weights as one process on the whole batch; all restarted after one was killed."""
    shutil.copytree(begun, tmp_path / "one")
    shutil.copytree(begun, tmp_path / "two")
    (result,) = ends([start(tmp_path / "one", 96)])
    assert result[1] == 0, result[0]
    both = start_two(tmp_path / "two", 96)
    wait_for(both, tmp_path / "two", 72)
    both[1].kill()
    both[1].communicate()
    both[0].kill()  # as a scheduler does when a part of a job is gone
    both[0].communicate()
    (output, code), (other, other_code) = ends(start_two(tmp_path / "two", 96))
    assert (code, other_code) == (0, 0), output + other
    assert "continues after" in output
    assert "train:" not in other  # only the chief reports and writes
    (_, one, _), (_, two, _) = (checkpoint.read_newest(tmp_path / name) for name in ("one", "two"))
    off = total = 0
    for name in one:
        if not name.endswith("G/blocks.0/bias_1"):  # its true gradient is zero (`official`)
            errors = np.abs(two[name] - one[name]) / max(1e-3, np.abs(one[name]).max())
            assert errors.max() < 5e-3, name
            off, total = off + (errors > 1e-4).sum(), total + errors.size
    assert off < 0.005 * total


@pytest.mark.slow
def test_sigterm_to_one_worker_stops_both_after_the_same_iteration(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    both = start_two(tmp_path / "run", 4500)
    wait_for(both, tmp_path / "run", 72)
    both[1].send_signal(signal.SIGTERM)
    (chief, code), (other, other_code) = ends(both)
    assert (code, other_code) == (75, 128 + signal.SIGTERM), chief + other
    assert "The checkpoint at" in chief
