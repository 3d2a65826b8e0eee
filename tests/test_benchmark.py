import json
import subprocess
import sys

import pytest

from tests.paths import ROOT


def benchmark(*flags):
    command = [sys.executable, "-m", "alae_tf.benchmark", f"--flagfile={ROOT}/configs/smoke.cfg"]
    return subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_keys_and_consistency_at_every_level(tmp_path):
    path = tmp_path / "result.json"
    done = benchmark("--level=all", "--batch=4", "--iterations=2", f"--json={path}")
    assert done.returncode == 0, done.stderr
    results = json.loads(path.read_text())
    assert set(results) == {"0", "1"}
    assert "level 0 (4 px), batch 4" in done.stdout
    result = results["1"]
    assert set(result) == {
        "iteration_seconds",
        "images_per_second",
        "page_faults",
        "peak_memory_mib",
        "encode_ms",
        "decode_ms",
        "matmul_gflops",
    }
    assert abs(result["images_per_second"] * result["iteration_seconds"] - 4) < 1e-6
    assert all(value > 0 for name, value in result.items() if name != "page_faults")


def test_a_level_that_does_not_exist():
    done = benchmark("--level=2")
    assert done.returncode == 2
    assert "--level=2" in done.stderr
