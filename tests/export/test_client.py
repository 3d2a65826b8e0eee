"""The client against a gRPC PredictionService and against KServe's REST rows."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="extra `serving`")

from export import client, saved_model
from export.graphs import Graphs
from tests.paths import ROOT


@pytest.fixture(scope="module")
def model():
    from alae_tf.autoencoder import Autoencoder
    from alae_tf.config import Config
    from alae_tf.networks.alae import build_alae

    config = Config(
        levels=2, image_channels=3, start_channels=4, max_channels=8, latent_size=8,
        mapping_layers=2,
    )  # fmt: skip
    return Autoencoder(config, build_alae(config))


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "1"
    saved_model.write(model.alae, Graphs(model).signatures(), path)
    return path


@pytest.fixture(scope="module")
def grpc_url(served):
    from tests.export.grpc_server import serve

    server, port = serve(served)
    yield f"grpc://127.0.0.1:{port}"
    server.stop(0)


@pytest.fixture(scope="module")
def rest_url(served, tmp_path_factory):
    pytest.importorskip("kserve", reason="extra `dev`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(tmp_path_factory.mktemp("log") / "kserve.log", "w")
    command = [sys.executable, str(ROOT / "tests/export/rest_server.py"), str(served), str(port)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{url}/v1/models/alae")
            break
        except OSError:
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.25)
    yield url
    server.terminate()
    server.wait()


@pytest.fixture(params=["grpc_url", "rest_url"])
def url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def run(url, *arguments):
    return client.main([f"--url={url}", *map(str, arguments)])


def test_encode_then_decode(url, model, photo, tmp_path):
    assert run(url, "encode", photo, photo, f"--out={tmp_path}/w.npy") == 0
    w = np.load(tmp_path / "w.npy")
    pixels = np.asarray(Image.open(photo))
    np.testing.assert_allclose(w, np.stack([model.encode(pixels)] * 2), atol=1e-4)
    assert run(url, "decode", f"{tmp_path}/w.npy", f"--out={tmp_path}/image.png") == 0
    picture = np.asarray(Image.open(tmp_path / "image.png"))  # two images side by side
    expected = np.concatenate([model.decode(w[0])] * 2, axis=1)
    assert np.abs(picture.astype(int) - expected).max() <= 1
    assert run(url, "reconstruct", photo, photo, f"--out={tmp_path}/again.png") == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "again.png")), picture)


def test_styles_decode_too(url, model, tmp_path):
    styles = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    np.save(tmp_path / "styles.npy", styles)
    assert run(url, "decode", f"{tmp_path}/styles.npy", f"--out={tmp_path}/image.png") == 0
    picture = np.asarray(Image.open(tmp_path / "image.png"))
    assert np.abs(picture.astype(int) - model.decode(styles)[0]).max() <= 1


def test_generate(grpc_url, rest_url, tmp_path):
    flags = ["generate", "--count=4", "--seed=3"]
    assert run(grpc_url, *flags, f"--out={tmp_path}/a.png") == 0  # asks for the length of z
    assert run(rest_url, *flags, "--latent_size=8", f"--out={tmp_path}/b.png") == 0
    a, b = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert a.shape == (16, 16, 3)
    assert np.abs(a.astype(int) - b).max() <= 1


def test_bad_requests_are_told_and_the_server_lives_on(url, photo, tmp_path, capsys):
    np.save(tmp_path / "bad.npy", np.zeros([2, 7], np.float32))
    assert run(url, "decode", f"{tmp_path}/bad.npy", f"--out={tmp_path}/image.png") == 1
    assert "Graph execution error" not in capsys.readouterr().err
    np.save(tmp_path / "bad.npy", np.zeros([2, 3, 8], np.float32))
    assert run(url, "decode", f"{tmp_path}/bad.npy", f"--out={tmp_path}/image.png") == 1
    assert "expected 1 or 4 styles" in capsys.readouterr().err
    assert run(url, "--model=other", "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert "404" in (told := capsys.readouterr().err) or "NOT_FOUND" in told
    (tmp_path / "photo.png").write_bytes(b"no image")
    assert run(url, "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert "photo.png: cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "image.png").exists()
    assert not (tmp_path / "w.npy").exists()
    np.save(tmp_path / "good.npy", np.zeros([1, 8], np.float32))
    assert run(url, "decode", f"{tmp_path}/good.npy", f"--out={tmp_path}/image.png") == 0


def test_rest_without_metadata_asks_for_the_latent_size(rest_url, tmp_path, capsys):
    assert run(rest_url, "generate", f"--out={tmp_path}/a.png") == 1
    assert "--latent_size" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_no_server(scheme, photo, tmp_path, capsys):
    url = f"{scheme}://127.0.0.1:9"
    assert run(url, "--timeout=2", "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert url in capsys.readouterr().err


def test_wrong_flags(tmp_path):
    for url, arguments in (
        ("ftp://x", ["generate", f"--out={tmp_path}/a.png"]),
        ("http://x", ["generate", f"--out={tmp_path}/a.jpg"]),
        ("http://x", ["generate", f"--out={tmp_path}/none/a.png"]),
        ("http://x", ["--batch=0", "generate", f"--out={tmp_path}/a.png"]),
    ):
        with pytest.raises(SystemExit) as stop:
            run(url, *arguments)
        assert stop.value.code == 2


def test_the_telling_line():
    message = (
        "Graph execution error:\n\nDetected at node\nassertion failed: [w: too long]\n\t [[x]]"
    )
    assert client.telling(message) == "[w: too long]"
    assert client.telling("plain\nmore") == "plain"
