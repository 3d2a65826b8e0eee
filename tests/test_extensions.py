"""Another package adds one of each record; the command line uses them."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

RECORDS = """
import dataclasses, importlib, os
import numpy as np
from alae_tf.__main__ import locate
from alae_tf.config.architecture import ARCHITECTURES, MLP
from alae_tf.data import SCHEMES, Scheme, Source
from alae_tf.evaluation.registry import METRICS, Metric
from alae_tf.figures import KINDS
from alae_tf.figures.kind import Kind

class Stripes(Source):
    channels = 1
    def __init__(self, uri, argument):
        self.uri, self.count = uri, int(argument)
        self.held_out = None
    def __len__(self):
        return self.count
    def image(self, index):
        return np.full((8, 8, 1), index * 7 % 256, np.uint8)

SCHEMES["stripes"] = Scheme("stripes:N", "N grey images", "more_alae:Stripes")

ARCHITECTURES["small"] = dataclasses.replace(MLP, name="small", title="Small ALAE")

METRICS["brightness"] = Metric("higher", "mean of generated images", "more_alae:brightness")
def brightness(samples):
    return float(np.mean([part.mean() for part in samples.generated()]))

KINDS["row"] = Kind("images in a row", lambda figure: np.tile(figure.images()[0], (1, 2, 3)), 1)

registry = importlib.import_module(locate("alae_tf.export.registry"))
formats = importlib.import_module(locate("alae_tf.export.formats"))
class Archive:
    def __init__(self, path, threads):
        self.known = np.load(path)
    def run(self, graph, images):
        x, w = self.known["x"], self.known["w"]
        return {"w": w[[np.abs(x - image).sum((1, 2, 3)).argmin() for image in images]]}
def write(work, file):
    case = work.reference.cases["encode"][0]
    np.savez(work.folder / file.name, x=case.inputs["images"], w=case.expected)
registry.FORMATS.append(formats.Format(
    "codes", "codes of the reference images", patterns=("codes.npz",),
    files=lambda options: [formats.File("codes.npz", ("encoder",))],
    write=write,
    runtimes={"NumPy": Archive},
))
"""
UPDATE = """
import tensorflow as tf
from alae_tf.training.algorithm import UPDATES, Update

def keep_grey(it, real, draw):
    fake, w = it.generate(draw)
    return tf.reduce_mean(tf.square(fake), [1, 2, 3]), {"w": w}

UPDATES.append(Update("grey", "4: grey images", keep_grey, lambda config: "G"))
"""
COMMANDS = """
import sys
import alae_tf.__main__ as alae
for line in open("commands.txt"):
    sys.argv = ["alae", *line.split()]
    try:
        code = alae.main()
    except SystemExit as stop:
        code = stop.code
    print("exit code", code)
"""
LINES = """\
train --data=stripes:16 --architecture=small --levels=1 --image_size=8 --hidden_size=8 \
--latent_size=4 --mapping_layers=1 --batch_by_level=8 --epochs=2 --log_images=8 \
--updates=d,g,latent,grey --run_dir=run
evaluate --run_dir=run --metrics=brightness --images=4
figures row --run_dir=run --out=row.png
export --run_dir=run --out=out --formats=codes --representative_data=stripes:16
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """The folder in which the commands ran, their output, and their exit codes."""
    folder = tmp_path_factory.mktemp("extensions")
    site = folder / "site"
    about = site / "more_alae-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "more_alae.py").write_text(RECORDS)
    (site / "more_alae_training.py").write_text(UPDATE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: more-alae\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[alae_tf.plugins]\nmore = more_alae\n[alae_tf.training]\nmore = more_alae_training\n"
    )
    (folder / "commands.txt").write_text(LINES)
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    codes = [line for line in done.stdout.splitlines() if line.startswith("exit code")]
    assert codes[:4] == ["exit code 0"] * 4, done.stdout + done.stderr
    return folder, done.stdout, codes


def test_a_data_source_an_architecture_and_an_update_train(used):
    folder, _, _ = used
    with open(folder / "run" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and all(float(row["loss_grey"]) > 0 for row in rows)
    assert "--architecture=small" in (folder / "run" / "config.cfg").read_text()


def test_a_metric_measures(used):
    folder, _, _ = used
    (line,) = (folder / "run" / "results.jsonl").read_text().splitlines()
    result = json.loads(line)
    assert result["metric"] == "brightness" and 0 <= result["value"] <= 255


def test_a_figure_is_drawn(used):
    folder, _, _ = used
    assert (folder / "row.png").read_bytes().startswith(b"\x89PNG")


def test_a_format_is_exported_and_compared(used):
    folder, _, _ = used
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert "codes.npz" in manifest["files"]
    rows = json.loads((folder / "out" / "parity.json").read_text())
    assert [(row["file"], row["runtime"]) for row in rows] == [("codes.npz", "NumPy")]
