"""python -m export into a directory that holds an export, or in which another is at work."""

import fcntl
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("litert_quantizer", reason="extra `export`")
pytest.importorskip("tf2onnx", reason="extra `export`")
pytest.importorskip("tensorflow_serving", reason="extra `serving`")

from export import __main__


def test_a_second_export_is_a_new_version(exported, style_run, tmp_path):
    """Of the same weights: what is there of other formats stays."""
    out = shutil.copytree(exported, tmp_path / "export")
    before = (out / "saved_model/1/saved_model.pb").read_bytes()
    left = out / f".alae-{16 * '0'}.partial"  # of an export that was killed
    left.mkdir()
    (left / "encoder.onnx").touch()
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=saved_model"]
    assert __main__.main(arguments) == 0
    assert sorted(path.name for path in (out / "saved_model").iterdir()) == ["1", "2"]
    assert (out / "saved_model/1/saved_model.pb").read_bytes() == before
    files = json.loads((out / "manifest.json").read_text())["files"]
    assert {"saved_model/1/saved_model.pb", "saved_model/2/saved_model.pb"} <= files.keys()
    assert {"encoder.onnx", "decoder_int8.tflite", "serving/models.config"} <= files.keys()
    assert {path.name for path in out.iterdir()} == {path.name for path in exported.iterdir()}


def test_a_later_checkpoint_replaces_the_files(exported, style_run, tmp_path):
    run, out = shutil.copytree(style_run, tmp_path / "run"), tmp_path / "export"
    shutil.copytree(exported, out)
    (path,) = (run / "checkpoints").iterdir()
    entries = dict(np.load(path))
    entries["ema/G/constant"] = entries["ema/G/constant"] * 1.5
    state = json.loads(bytes(entries["state"])) | {"images_seen": 16}
    entries["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(path.with_name("images-000000000016.npz"), **entries)
    arguments = [f"--run_dir={run}", f"--out={out}", "--formats=onnx"]
    assert __main__.main(arguments) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["weights"]["images_seen"] == 16
    assert {name.partition("/")[0] for name in manifest["files"]} == {
        "saved_model", "serving", "encoder.onnx", "decoder.onnx", "parity.png", "parity.json"
    }  # fmt: skip
    assert not list(out.glob("*.tflite"))  # of older weights
    of = {name: file["weights"] for name, file in manifest["files"].items()}
    assert of["saved_model/1/saved_model.pb"] != of["encoder.onnx"]
    assert "encode_bytes" in manifest["graphs"]  # the SavedModel that stays has it


def test_an_export_directory_holds_one_model(exported, style_run, photos, tmp_path, capsys):
    out = shutil.copytree(exported, tmp_path / "export")
    before = (out / "manifest.json").read_bytes()
    other = shutil.copytree(style_run, tmp_path / "run")
    config = (other / "config.cfg").read_text()
    (other / "config.cfg").write_text(config.replace("--seed=0", "--seed=1"))
    untrained = [f"--untrained={style_run}/config.cfg", f"--out={out}", "--formats=onnx"]
    for arguments, message in (
        ([f"--run_dir={other}", f"--out={out}"], "seed: 0"),
        ([f"--run_dir={style_run}", f"--out={out}", "--level=0"], "level: 1"),
        (untrained, "weights: trained"),
    ):
        assert __main__.main(arguments) == 2
        assert message in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before
    (out / "manifest.json").write_text("{")
    assert __main__.main([f"--run_dir={style_run}", f"--out={out}"]) == 2
    assert "manifest.json" in capsys.readouterr().err


def test_obstacles_are_reported_before_anything_is_renamed(exported, style_run, tmp_path, capsys):
    out = shutil.copytree(exported, tmp_path / "export")
    (out / "parity.png").unlink()
    (out / "parity.png").mkdir()
    before = (out / "manifest.json").read_bytes()
    arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=onnx"]
    assert __main__.main(arguments) == 2
    assert "parity.png" in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before


def test_two_exports_into_one_directory(style_run, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = [f"--run_dir={style_run}", f"--out={out}", "--formats=onnx"]
        assert __main__.main(arguments) == 2
    assert "--out=" in capsys.readouterr().err
