"""Training inside this process, over S3 behind a proxy with faults."""

import itertools

import numpy as np
import pytest

from alae_tf.cloud import uploader
from alae_tf.config import Config
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory, existing_run
from alae_tf.training import loop, saver

pytest.importorskip("s3fs", reason="the extra cloud is not installed")
pytest.importorskip("moto", reason="moto, of the extra dev, is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture
def digits(small_mlp: Config, one_device, monkeypatch):
    """Six iterations of eight digits, with a checkpoint after each."""
    monkeypatch.setattr(uploader, "FIRST_WAIT", 0.05)
    return small_mlp.replace(
        data="mnist5k:", image_size=28, epochs=0.01, flip=False, checkpoint_minutes=1e-9
    )


def before_iterations(monkeypatch, act):
    """Calls `act(images seen)` before each iteration."""
    iterate = loop.Run.iterate

    def acting(self, *args):
        act(self.progress.images_seen)
        iterate(self, *args)

    monkeypatch.setattr(loop.Run, "iterate", acting)


def same_end(url, local):
    (_, ours, state), (_, theirs, other) = (
        checkpoint.read_newest(path) for path in (existing_run(url), local)
    )
    assert state == other and ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_storage_with_faults_gets_the_whole_run(digits, cloud, proxy, tmp_path, monkeypatch):
    assert loop.train(digits, RunDirectory(tmp_path / "run")) == 0
    faults = itertools.cycle(["503", None, "cut", None, None, "lost", "slow", None])

    def act(images):
        proxy.fault = lambda method, path: next(faults) if "lease" not in path else None

    before_iterations(monkeypatch, act)
    assert loop.train(digits, RunDirectory(f"{cloud}/run")) == 0
    proxy.fault = lambda method, path: None
    same_end(f"{cloud}/run", tmp_path / "run")


def test_storage_that_stays_unreachable(digits, cloud, proxy, tmp_path, monkeypatch, capsys):
    assert loop.train(digits, RunDirectory(tmp_path / "run")) == 0
    monkeypatch.setattr(saver, "PATIENCE_SECONDS", 0.0)

    faults = ["cut"]

    def act(images):
        if images == 16:
            proxy.fault = lambda method, path: faults[0] if faults else None

    url = f"{cloud}/run"
    before_iterations(monkeypatch, act)
    capsys.readouterr()
    assert loop.train(digits, RunDirectory(url)) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert f"--run_dir={url}: " in last and "the same command" in last
    faults.clear()
    assert loop.train(digits, RunDirectory(url)) == 0
    same_end(url, tmp_path / "run")
