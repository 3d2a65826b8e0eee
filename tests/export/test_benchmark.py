import json
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")


@pytest.mark.slow
def test_every_runtime_is_measured(tmp_path):
    config = tmp_path / "some.cfg"
    config.write_text("--levels=2\n--start_channels=4\n--max_channels=8\n--latent_size=8\n")
    command = [sys.executable, "-m", "export.benchmark", f"--untrained={config}"]
    command.append(f"--json={tmp_path}/result.json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^(I|W|E)0000|^(INFO|WARNING):", done.stderr, re.M)  # it starts quietly
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["matmul_gflops"]) == {"1", "2"}
    # Networks, threads, and files: 7 of any batch, at 2 sizes, and 1 of one image.
    assert len(result["rows"]) == 2 * 2 * (7 * 2 + 1)
    assert all(row["ms"] > 0 for row in result["rows"])
    assert "| encoder_dynamic_int8.tflite |" in done.stdout


def test_a_config_that_is_not_there():
    command = [sys.executable, "-m", "export.benchmark", "--untrained=none.cfg"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "benchmark: none.cfg:" in done.stderr
