"""The on-device tool: what it reads, gives and refuses; that it needs no TensorFlow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="extra `export`")

from export import encode, litert, saved_model, tflite
from export.graphs import Graphs
from export.litert import images_at_once
from tests.paths import ROOT


@pytest.fixture(scope="module")
def model():
    from alae_tf.config import Config
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.networks.alae import build_alae

    config = Config(
        architecture="mlp", levels=1, image_channels=1, image_size=6, hidden_size=16,
        latent_size=5, mapping_layers=2,
    )  # fmt: skip
    return Autoencoder(config, build_alae(config))


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    saved_model.write(model.alae, Graphs(model).device_signatures(), folder / "saved")
    for name in ("encoder", "encoder_uint8", "decoder"):
        (folder / f"{name}.tflite").write_bytes(tflite.convert(folder / "saved", name))
    return folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 6), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def run(*arguments):
    return encode.main([str(argument) for argument in arguments])


def expected(model, photos):
    pixels = np.stack(
        [np.asarray(Image.open(path))[..., None] for path in sorted(photos.iterdir())]
    )
    return model.encode(pixels)


@pytest.mark.parametrize("name", ["encoder", "encoder_uint8"])
def test_a_folder_to_npy(model, files, photos, tmp_path, name):
    assert run(photos, f"--model={files}/{name}.tflite", f"--out={tmp_path}/w.npy") == 0
    np.testing.assert_allclose(np.load(tmp_path / "w.npy"), expected(model, photos), atol=1e-4)


def test_json_by_file_name(model, files, photos, tmp_path, capsys):
    flag = f"--model={files}/encoder.tflite"
    assert run(photos / "1.png", flag, f"--out={tmp_path}/w.json", "--threads=1") == 0
    codes = json.loads((tmp_path / "w.json").read_text())
    np.testing.assert_allclose(codes[f"{photos}/1.png"], expected(model, photos)[1], atol=1e-4)
    assert run(photos / "1.png", flag) == 0
    assert json.loads(capsys.readouterr().out) == codes


def test_decode(model, files, tmp_path):
    w = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    np.save(tmp_path / "w.npy", w)
    flags = [f"--decode={tmp_path}/w.npy", f"--model={files}/decoder.tflite"]
    assert run(*flags, f"--out={tmp_path}/image.png") == 0
    picture = np.asarray(Image.open(tmp_path / "image.png"))
    assert picture.shape == (12, 12)
    assert np.abs(picture[:6, 6:].astype(int) - model.decode(w[1])[..., 0]).max() <= 1
    assert (picture[6:, 6:] == 0).all()


def test_many_images_show_a_bar(files, photos, tmp_path, capsys):
    flags = [f"--model={files}/encoder.tflite", f"--out={tmp_path}/w.npy"]
    assert run(*[photos] * 7, *flags) == 0
    assert "encoding" in capsys.readouterr().err
    assert np.load(tmp_path / "w.npy").shape == (21, 5)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_truncated_model(files, photos, tmp_path, kept):
    """In a process of its own: a fault of the runtime would end this one."""
    data = (files / "encoder.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(data[: int(len(data) * kept)])
    command = [sys.executable, "-m", "export.encode", str(photos), f"--model={tmp_path}/cut.tflite"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--model=" in done.stderr and "cut.tflite" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_refused(files, photos, tmp_path, capsys):
    encoder, out = f"--model={files}/encoder.tflite", f"--out={tmp_path}/w.npy"
    decoder, picture = f"--model={files}/decoder.tflite", f"--out={tmp_path}/p.png"
    colour = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no")
    np.save(tmp_path / "codes.npy", np.zeros([2, 4], np.float32))
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for arguments, code, message in (
        ([photos, decoder, out], 2, "decoder.tflite"),
        ([photos, "--model=none.tflite", out], 2, "--model=none.tflite"),
        ([tmp_path / "colour.png", encoder, out], 1, "colour.png"),
        ([photos, tmp_path / "bad.png", encoder, out], 1, "bad.png"),
        ([tmp_path / "none.png", encoder, out], 2, "none.png"),
        ([tmp_path / "pipe.png", encoder, out], 2, "pipe.png"),
        ([photos, f"--model={tmp_path}/pipe.png", out], 2, "pipe.png"),
        ([tmp_path / "empty", encoder, out], 2, "empty"),
        ([f"--decode={tmp_path}/codes.npy", encoder, picture], 2, "encoder.tflite"),
        (
            [f"--decode={tmp_path}/codes.npy", decoder, picture],
            2,
            "codes.npy",
        ),
        ([f"--decode={tmp_path}/bad.png", decoder, picture], 2, "bad.png"),
    ):
        assert run(*arguments) == code, arguments
        assert message in capsys.readouterr().err
    assert not (tmp_path / "w.npy").exists()
    for arguments in ([encoder], [photos, encoder, "--out=w.txt"], ["--decode=w.npy", encoder]):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 2


def header(shape, dtype="<f4"):
    """The head of a .npy file."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        header("(10000000000000, 5)") + bytes(20),  # declares 200 TB
        header("(1, 5)")[:40],  # cut within the head
        header("(1, 5)")[:9],
        header("(1, 5)") + bytes(19),
        header("(1, 5"),
        header("(-1, 5)") + bytes(20),
        header("(1, 5)", "|O") + bytes(40),
        header("(1, 5)", "<f8") + np.full(5, 1e300).tobytes(),  # beyond float32
        header("(1, 5)") + np.full(5, 3e38, np.float32).tobytes(),  # its image is not finite
        header("(1, 5)") + np.full(5, np.nan, np.float32).tobytes(),
        b"",
    ],
)
def test_damaged_codes(files, tmp_path, capsys, data):
    (tmp_path / "w.npy").write_bytes(data)
    flags = [f"--decode={tmp_path}/w.npy", f"--model={files}/decoder.tflite"]
    assert run(*flags, f"--out={tmp_path}/p.png") == 2
    assert f"encode: {tmp_path}/w.npy: " in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()


def test_unusable_images_of_a_folder_are_left_out(model, files, photos, tmp_path, capsys):
    Image.new("RGB", (6, 6), "red").save(photos / "00-colour.png")
    (photos / "1-broken\x1b[31m.png").write_bytes(b"no")
    (photos / "._hidden.png").write_bytes(b"of another system")
    (photos / "big.png").symlink_to(photos / "2.png")
    Image.fromarray(np.zeros((2, 2000), np.uint8)).save(photos / "thin.png")
    flags = [photos, f"--model={files}/encoder.tflite"]
    assert run(*flags, f"--out={tmp_path}/w.json") == 0
    err = capsys.readouterr().err
    assert err.count("left out: ") == 2
    assert "00-colour.png" in err
    assert "1-broken\\x1b[31m.png" in err
    assert "1 of 5 images" in err
    codes = json.loads((tmp_path / "w.json").read_text())
    assert [name.rpartition("/")[2] for name in codes] == [
        "0.png", "1.png", "2.png", "big.png", "thin.png"
    ]  # fmt: skip
    (photos / "thin.png").unlink()
    (photos / "big.png").unlink()
    assert run(*flags, f"--out={tmp_path}/w.npy") == 0
    for name in ("00-colour.png", "1-broken\x1b[31m.png", "._hidden.png"):
        (photos / name).unlink()
    np.testing.assert_allclose(np.load(tmp_path / "w.npy"), expected(model, photos), atol=1e-4)
    for i in range(3):
        (photos / f"{i}.png").write_bytes(b"no")
    assert run(*flags, f"--out={tmp_path}/none.npy") == 1
    assert not (tmp_path / "none.npy").exists()


def test_large_images_are_encoded_few_at_a_time(files, photos, monkeypatch, tmp_path):
    assert [images_at_once(side) for side in (8, 64, 128, 256, 1024)] == [64, 32, 8, 2, 1]
    sizes, plain = [], litert.TFLite.__call__

    def noted(self, x):
        sizes.append(len(x))
        return plain(self, x)

    monkeypatch.setattr(litert.TFLite, "__call__", noted)
    monkeypatch.setattr(litert, "PIXELS", 2 * 6 * 6)
    assert run(photos, f"--model={files}/encoder.tflite", f"--out={tmp_path}/w.npy") == 0
    assert sizes == [2, 1]


def test_without_tensorflow(files, photos, tmp_path):
    """In a virtual environment of requirements-ondevice.txt alone."""
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    requirements = ["-r", ROOT / "requirements-ondevice.txt"]
    if subprocess.run([*install, *requirements], capture_output=True).returncode:
        pytest.skip("pip cannot install requirements-ondevice.txt here (no network)")
    code = (
        "import sys; from export import encode; code = encode.main(sys.argv[1:]); "
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules; sys.exit(code)"
    )
    flags = [photos, f"--model={files}/encoder.tflite", f"--out={tmp_path}/w.npy"]
    done = subprocess.run([python, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")  # LiteRT's "Created …" neither
    assert np.load(tmp_path / "w.npy").shape == (3, 5)
    assert subprocess.run([python, "-c", "import tensorflow"], capture_output=True).returncode == 1
