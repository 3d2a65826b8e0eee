"""Other packages that add to the registries."""

import re
import sys
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from alae_tf.__main__ import main as alae
from alae_tf.figures import KINDS
from alae_tf.system import plugins
from tests.paths import ROOT

# The example that users read.
FIGURE = re.search(
    r"```python\n([^`]*KINDS\[.*?)```", (ROOT / "docs/figures.md").read_text(), re.S
)[1]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with a plug-in on the path; restores the registry afterwards."""

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
        return alae()
    except SystemExit as stop:  # of the module that is run as a program
        return stop.code


def test_a_figure_from_another_package(install, tmp_path, monkeypatch, capsys):
    install("contact_sheet", FIGURE)
    assert run(monkeypatch, "figures", "--help") == 0
    assert "sheet" in capsys.readouterr().out
    out = tmp_path / "a.png"
    flags = ["--run_dir=digits", "--columns=3", "--count=6", f"--out={out}"]
    assert run(monkeypatch, "figures", "sheet", *flags) == 0
    assert np.asarray(Image.open(out)).shape == (2 * 66 + 14, 3 * 66 + 14, 3)
    assert run(monkeypatch, "figures", "sheet", *flags[:1], "--columns=0", "--out=b.png") == 2
    assert "--columns" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["import nothing_of_this_name", "1 / 0", "def"])
def test_a_plug_in_that_fails_is_named(install, monkeypatch, capsys, source):
    name = f"broken_{len(source)}"
    install(name, source)
    with pytest.raises(plugins.PluginError):
        plugins.load()
    assert run(monkeypatch, "figures", "--help") == 2
    message = capsys.readouterr().err
    assert "mine" in message and name in message
