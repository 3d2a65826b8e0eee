"""Whole commands over S3: prepare, train, a kill, another machine, evaluate, export, load."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import alae_tf
from alae_tf.cloud.storage import Storage
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory, existing_run
from tests.paths import ROOT

pytest.importorskip("s3fs", reason="the extra cloud is not installed")
pytest.importorskip("moto", reason="moto, of the extra dev, is not installed")

SMOKE = [
    f"--flagfile={ROOT}/configs/smoke.cfg",
    "--checkpoint_minutes=0.0001",
    "--batch_by_level=8",
    "--epochs=0.02",  # 96 images at 4 px
]


def start(module, *flags, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", module, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )


def run(module, *flags, **environment):
    process = start(module, *flags, **environment)
    output = process.communicate(timeout=500)[0]
    assert process.returncode == 0, output
    return output


def uploaded(url):
    """Images seen at the newest checkpoint in storage."""
    names = [name for name in Storage("", url).list() if name.endswith(".npz")]
    return max((int(name[-16:-4]) for name in names), default=-1)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits_on_an_empty_machine(cloud, tmp_path):
    data, run_dir = f"{cloud}/digits", f"{cloud}/run"
    flags = ["--data=mnist5k:", f"--out={data}", "--max_resolution=8", "--shards=2"]
    run("alae_tf.prepare", *flags)
    assert not list((tmp_path / "cache" / "cloud").iterdir())  # nothing is left on this machine
    run("alae_tf.train", *SMOKE, f"--run_dir={tmp_path / 'whole'}")

    there = [*SMOKE, f"--run_dir={run_dir}", f"--data=tfrecord:{data}"]
    process = start("alae_tf.train", *there)
    deadline = time.monotonic() + 300
    while uploaded(run_dir) < 40:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.kill()
    process.communicate()
    output = run("alae_tf.train", *there, ALAE_TF_CACHE=str(tmp_path / "other"))
    assert "continues after" in output
    local = existing_run(run_dir)
    ours, theirs = (checkpoint.read_newest(path)[1] for path in (local, tmp_path / "whole"))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    rows = [RunDirectory(path).metrics.rows() for path in (local, tmp_path / "whole")]
    seen, whole = ([row["images_seen"] for row in each] for each in rows)
    assert seen == whole

    run("alae_tf.evaluate", f"--run_dir={run_dir}", "--metrics=psnr", "--images=16")
    names = Storage("", run_dir).list()
    assert "results.jsonl" in names and "report.html" in names
    assert any(name.startswith("tensorboard/events") for name in names)
    out = f"{cloud}/exported"
    run("export", f"--run_dir={run_dir}", f"--out={out}", "--formats=onnx", "--quantize=none")
    assert {"manifest.json", "encoder.onnx", "decoder.onnx"} <= Storage("", out).list().keys()
    model = alae_tf.from_pretrained(run_dir)
    assert model.images_seen == checkpoint.read_newest(tmp_path / "whole")[2]["images_seen"]
