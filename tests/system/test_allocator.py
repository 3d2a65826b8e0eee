"""malloc keeps large blocks in a command's process."""

import ctypes
import json
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
def test_an_iteration_with_large_tensors_keeps_their_memory(tmp_path):
    """Gradients of 64 MiB each, for which glibc alone has over 100,000 page faults."""
    command = [sys.executable, "-m", "alae_tf.benchmark", "--flagfile=configs/mnist_mlp.cfg"]
    command += ["--hidden_size=4096", "--batch=8", "--iterations=2", f"--json={tmp_path}/found"]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, stdout=subprocess.DEVNULL)
    assert json.loads((tmp_path / "found").read_text())["page_faults"] < 2000


def test_another_c_library_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))]:
        monkeypatch.delenv(name)
    allocator.keep_memory()
