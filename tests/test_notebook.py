"""examples/tour.ipynb runs top to bottom."""

import os

import pytest

pytest.importorskip("nbclient", reason="nbclient (extra `dev`)")
pytest.importorskip("ipykernel", reason="ipykernel (extra `dev`)")
pytest.importorskip("litert_quantizer", reason="extra `export`")

import nbclient
import nbformat

from tests.paths import ROOT


@pytest.mark.slow
def test_the_tour_runs_and_shows_pictures(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    kept = nbformat.read(ROOT / "examples/tour.ipynb", 4)
    notebook = nbformat.read(ROOT / "examples/tour.ipynb", 4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(ROOT / "examples")}}
    )
    client.execute()  # raises what a cell does
    for cells in (kept.cells, notebook.cells):
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        assert len(pictures) == 4
