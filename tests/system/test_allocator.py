"""malloc keeps large blocks in a command's process."""

import os
import subprocess
import sys

import pytest

COUNT = """
import resource
import sys
from alae_tf.system.environment import start

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def main():
    for _ in range(4):
        before = faults()
        first = b"x" * 64 * 2**20
        second = first + b"y"
        del first, second
    print(faults() - before)

sys.exit(start(main))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
@pytest.mark.parametrize(("chosen", "most"), [({}, 100), ({"MALLOC_ARENA_MAX": "4"}, 10**9)])
def test_large_blocks_are_used_again(chosen, most):
    command = [sys.executable, "-c", COUNT]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | chosen
    found = int(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
    assert found <= most
    if chosen:
        assert found > 10_000  # glibc's own behaviour
