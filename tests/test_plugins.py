"""Other packages, installed beside, that add to the registries."""

import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from alae_tf import plugins
from alae_tf.__main__ import main as alae
from alae_tf.figures import KINDS

FIGURE = """
import numpy as np
from alae_tf.figures import KINDS, Figure, Kind

def draw(figure: Figure, shade: int) -> np.ndarray:
    picture = np.full((figure.model.resolution, 8 * figure.count, 3), shade, np.uint8)
    return picture

KINDS["shade"] = Kind(
    "one shade", draw, count=2, flags={"shade": {"type": int, "default": 7, "help": "grey value"}}
)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with a plug-in on the path; forgets afterwards what it has registered."""

    def put(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[alae_tf.plugins]\nmine = {name}\n")

    monkeypatch.syspath_prepend(tmp_path)
    with mock.patch.dict(KINDS):
        yield put


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["alae", *arguments])
    try:
        alae()
    except SystemExit as stop:  # of the module that is run as a program
        return stop.code


def test_a_figure_from_another_package(install, tmp_path, monkeypatch, capsys):
    install("shade_figure", FIGURE)
    assert run(monkeypatch, "figures", "--help") == 0
    assert "one shade" in capsys.readouterr().out
    out = tmp_path / "a.png"
    flags = ["--run_dir=digits", "--shade=200", "--count=3", f"--out={out}"]
    assert run(monkeypatch, "figures", "shade", *flags) == 0
    picture = np.asarray(Image.open(out))
    assert picture.shape == (32, 24, 3) and (picture == 200).all()


@pytest.mark.parametrize("source", ["import nothing_of_this_name", "1 / 0", "def"])
def test_a_plug_in_that_fails_is_named(install, monkeypatch, capsys, source):
    name = f"broken_{len(source)}"
    install(name, source)
    with pytest.raises(plugins.PluginError):
        plugins.load()
    assert run(monkeypatch, "figures", "--help") == 2
    said = capsys.readouterr().err
    assert "mine" in said and name in said
