"""examples/dashboards.py, with stand-ins for the services."""

import importlib.util
import subprocess
import sys
import types

import numpy as np
import pytest

from alae_tf.runs.directory import RunDirectory
from alae_tf.training import loop
from tests.paths import ROOT


@pytest.fixture
def dashboards():
    spec = importlib.util.spec_from_file_location("dashboards", ROOT / "examples/dashboards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(small_mlp):
    return small_mlp.replace(
        data="mnist5k:", image_size=28, epochs=0.02, flip=False, log_images=24, sample_images=40
    )


def test_callbacks_are_called_with_rows_and_grids(config, tmp_path, capsys, one_device):
    rows, grids = [], []

    def listen(row, grid):
        rows.append(row)
        grids.append(grid)

    def fails(row, grid):
        raise ConnectionError("unreachable")

    assert loop.train(config, RunDirectory(tmp_path), callbacks=[fails, listen]) == 0
    assert [row["images_seen"] for row in rows if row] == [24, 48, 72, 96]
    assert np.isfinite([row["loss_d"] for row in rows if row]).all()
    assert [grid.dtype for grid in grids if grid is not None] == [np.uint8] * 2
    assert "ConnectionError" in capsys.readouterr().err


@pytest.mark.slow
def test_both_services(dashboards, config, tmp_path, monkeypatch, one_device):
    logged = []
    wandb = types.SimpleNamespace(run=None, Image=lambda grid: grid.shape)
    wandb.init = lambda project: setattr(wandb, "run", project)
    wandb.log = lambda values, step=None: logged.append(("wandb", step, sorted(values)[-1]))
    mlflow = types.SimpleNamespace(
        log_metrics=lambda row, step: logged.append(("mlflow", step, sorted(row)[0])),
        log_image=lambda grid, key: logged.append(("mlflow", None, key)),
    )
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    flagfile = tmp_path / "a.cfg"
    flagfile.write_text(config.to_flagfile())
    for service in ("wandb", "mlflow"):
        assert dashboards.main(service, str(flagfile), str(tmp_path / service)) == 0
    assert logged[:2] == [("wandb", 24, "loss_latent"), ("wandb", None, "samples")]
    assert [each for each in logged if each[0] == "mlflow"][:2] == [
        ("mlflow", 24, "blend"),
        ("mlflow", None, "samples"),
    ]


def test_wrong_flags_are_reported_before_any_work(tmp_path):
    script = str(ROOT / "examples/dashboards.py")
    for flags, code, message in (
        (["--help"], 0, "--flagfile"),
        (["tensorboard", "--flagfile=a", "--run_dir=b"], 2, "invalid choice"),
        (["wandb", "--run_dir=b"], 2, "--flagfile"),
    ):
        done = subprocess.run([sys.executable, script, *flags], capture_output=True, text=True)
        assert done.returncode == code and message in done.stdout + done.stderr
