"""What the replicas get, and that reading leaves the memory allocator alone."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from alae_tf import data
from alae_tf.training.feed import feed
from tests.paths import ROOT

TRAINING = """
import itertools, resource, sys
from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop
from alae_tf.training.trainer import Trainer

config = Config.load("configs/mnist_mlp.cfg").replace(data="mnist5k:", epochs=1.0)
step, faults = Trainer.step, []

def counted(self, *args):
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return step(self, *args)

Trainer.step = counted
assert loop.train(config, RunDirectory(sys.argv[1])) == 0
print(min(b - a for a, b in itertools.pairwise(faults[-21:])))
"""


@pytest.mark.parametrize("devices", [1, 2])
def test_replicas_get_their_parts_in_order(small, devices):
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
    source = data.open_source("mnist5k:")
    batches = feed(strategy, source, small, level=1, start=16)
    order = data.epoch_order(4500, small.seed, 0)
    for start in (16, 24):
        parts = strategy.experimental_local_results(next(batches))
        assert [part.shape for part in parts] == [(8 // devices, 8, 8, 1)] * devices
        expected = [source.fitted(index, 8) for index in order[start : start + 8]]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_one_device_gets_the_batch(small):
    batches = feed(
        tf.distribute.OneDeviceStrategy("CPU:0"), data.open_source("mnist5k:"), small, 0, 0
    )
    assert next(batches).shape == (8, 4, 4, 1)


def test_training_keeps_its_memory(tmp_path):
    # At least 6,400 page faults in every iteration where malloc gives large blocks back. Elsewhere
    # a few in the quietest one; on a busy machine others may have thousands.
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 2000
