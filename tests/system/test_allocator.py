"""malloc keeps large blocks in a command's process."""

import ctypes
import os
import subprocess
import sys
import types

import pytest

from alae_tf.system import allocator
from tests.paths import ROOT

COUNT = """
import ctypes
import resource
import sys
from alae_tf.system.environment import start

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def main():
    THEN
    for _ in range(4):
        before = faults()
        first = b"x" * 64 * 2**20
        second = first + b"y"
        del first, second
    print(faults() - before)

sys.exit(start(main))
"""
TRAINING = """
import itertools
import resource
import sys
from alae_tf.system.environment import start

def main():
    import numpy as np
    from alae_tf.config import Config
    from alae_tf.training.trainer import Trainer

    trainer = Trainer(Config(architecture="mlp", levels=1, hidden_size=4096, batch_by_level=(8,)))
    trainer.set_learning_rate(0)
    faults, pixels = [], np.zeros((8, 28, 28, 1), np.uint8)
    for i in range(8):
        trainer.step(pixels, 0, 8 * i, 1.0)["d"].numpy()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    print(min(b - a for a, b in itertools.pairwise(faults[-5:])))

sys.exit(start(main))
"""
LOWER = "ctypes.CDLL(None).mallopt(-3, 131072)"  # as TensorFlow's GeneratorDataset does
glibc = pytest.mark.skipif(sys.platform != "linux", reason="glibc")


def environment(**chosen):
    return {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | chosen


@glibc
@pytest.mark.parametrize(
    ("then", "chosen", "most"),
    [("pass", {}, 100), (LOWER, {}, 100), ("pass", {"MALLOC_ARENA_MAX": "4"}, 10**9)],
)
def test_large_blocks_are_used_again(then, chosen, most):
    command = [sys.executable, "-c", COUNT.replace("THEN", then)]
    done = subprocess.run(command, env=environment(**chosen), check=True, capture_output=True)
    found = int(done.stdout)
    assert found <= most
    if chosen:
        assert found > 10_000  # glibc's own behaviour


@glibc
def test_an_iteration_with_large_tensors_keeps_their_memory():
    """Gradients of 64 MiB each, without oneDNN, which brings an allocator of its own."""
    command = [sys.executable, "-c", TRAINING]
    chosen = environment(TF_ENABLE_ONEDNN_OPTS="0")
    done = subprocess.run(command, cwd=ROOT, env=chosen, check=True, capture_output=True, text=True)
    assert int(done.stdout.splitlines()[-1]) < 2000


def test_another_c_library_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        monkeypatch.delenv(name)
    allocator.keep_memory()
