"""The command, on a run of untrained weights."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from alae_tf import evaluate
from alae_tf.config import Config
from alae_tf.images.picture import png
from alae_tf.runs import checkpoint, results
from alae_tf.system import npm, shipped
from alae_tf.training.saver import training_variables
from alae_tf.training.trainer import Trainer
from tests.paths import ROOT


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of a small MLP-ALAE with two checkpoints, on mnist5k:."""
    path = tmp_path_factory.mktemp("run")
    config = Config(
        architecture="mlp",
        levels=1,
        image_channels=1,
        image_size=28,
        hidden_size=8,
        latent_size=8,
        mapping_layers=1,
        flip=False,
    )
    (path / "config.cfg").write_text(config.to_flagfile())
    for seen in (128, 256):
        state = {"images_seen": seen, "level": 0, "blend": 1.0}
        checkpoint.save(training_variables(Trainer(config)), path, state, keep=2)
    return path


def test_values_on_the_screen_and_in_the_run(run_dir, capsys):
    flags = [f"--run_dir={run_dir}", "--metrics=psnr,latent_cycle", "--images=20"]
    assert evaluate.main([*flags, "--checkpoints=all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "128 images" in lines[0] and "256 images" in lines[0]
    assert lines[1].startswith("psnr") and "20 reconstructed, 20 real" in lines[1]
    kept = results.read(run_dir / "results.jsonl")
    assert [(r.metric, r.model["images_seen"]) for r in kept] == [
        ("psnr", 128),
        ("latent_cycle", 128),
        ("psnr", 256),
        ("latent_cycle", 256),
    ]
    assert evaluate.main([*flags, "--json", "--checkpoints=256"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["value"] for each in printed] == [r.value for r in kept[2:]]  # the same every time
    assert printed[0]["model"]["weights"] == "ema" and printed[0]["protocol"]["noise"] == "random"


def test_a_file_of_results_that_fails_loses_no_value(run_dir, monkeypatch, capsys):
    def full(path, result):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "append", full)
    flags = [f"--run_dir={run_dir}", "--metrics=psnr, latent_cycle", "--images=20"]
    assert evaluate.main(flags) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["psnr", "latent_cycle"]
    assert f"{run_dir}/results.jsonl" in err


def test_fewer_images_than_asked_for_are_reported(run_dir, capsys):
    flags = [f"--run_dir={run_dir}", "--metrics=psnr", "--images=100000"]
    assert evaluate.main(flags) == 0
    assert "--images=100000" in capsys.readouterr().err


@pytest.mark.parametrize("is_shipped", [True, False])
def test_results_of_a_read_only_run_are_only_printed(run_dir, monkeypatch, capsys, is_shipped):
    before = results.read(run_dir / "results.jsonl")
    if is_shipped:
        monkeypatch.setattr(shipped, "folder", lambda name: run_dir.parent)
    else:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert evaluate.main([f"--run_dir={run_dir}", "--metrics=psnr", "--images=20"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("psnr")
    assert f"--run_dir={run_dir}" in err
    assert results.read(run_dir / "results.jsonl") == before


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--metrics=psnr,beauty"], "--metrics=psnr,beauty: 'beauty'"),
        (["--metrics="], "--metrics=: "),
        (["--metrics=fid"], "pt_inception-2015-12-05-6726825d.pth: "),
        (["--metrics=fid", "--inception=setup.cfg"], "setup.cfg: "),
        (["--metrics=reconstruction"], "face_recognition_model.bin: "),
        (["--metrics=identity", "--identity=setup.cfg"], "setup.cfg: "),
        (["--data=folder:/nowhere"], "--data=folder:/nowhere"),
        (["--checkpoints=77"], "--checkpoints=77: "),
        (["--checkpoints=last"], "--checkpoints=last: "),
        (["--images=3", "--metrics=precision"], "--images: precision"),
        (["--style_mixing=0.9", "--metrics=psnr"], "--style_mixing=0.9: "),
        (["--run_dir=/nowhere"], "--run_dir=/nowhere"),
        (["--metrics=psnr", "--data=folder:COLOUR"], "--image_channels=3"),
        (
            ["--metrics=representation", "--data=folder:GREY?channels=1"],
            "--metrics=representation: ",
        ),
    ],
)
def test_errors_name_the_flag(run_dir, tmp_path, monkeypatch, capsys, flags, named):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(npm, "command", lambda: [])
    for name, channels in (("COLOUR", 3), ("GREY", 1)):
        (tmp_path / name).mkdir()
        for i in range(4):
            image = np.full((28, 28, channels), i, np.uint8)
            (tmp_path / name / f"{i}.png").write_bytes(png(image))
    flags = [flag.replace("folder:", f"folder:{tmp_path}/") for flag in flags]
    flags = [flag.replace(f"{tmp_path}//", "/") for flag in flags]
    assert evaluate.main([f"--run_dir={run_dir}", *flags]) == 2
    assert named in capsys.readouterr().err


def test_a_run_without_checkpoints(tmp_path, capsys):
    (tmp_path / "config.cfg").write_text(Config().to_flagfile())
    assert evaluate.main([f"--run_dir={tmp_path}"]) == 2
    assert f"--run_dir={tmp_path}" in capsys.readouterr().err


def test_wrong_flags_are_reported_before_tensorflow_is_imported(run_dir):
    code = (
        "import sys; from alae_tf import evaluate; "
        f"code = evaluate.main(['--run_dir={run_dir}', '--metrics=beauty']); "
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "'beauty'" in done.stderr


def test_which_images_a_shipped_model_is_measured_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["--run_dir=faces64", "--metrics=psnr"]) == 2
    said = capsys.readouterr().err
    assert f"folder:{tmp_path}/faces" in said and "--data" in said
