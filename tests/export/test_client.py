"""The client against a gRPC PredictionService and against KServe's REST rows."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow_serving", reason="extra `serving`")

from export import client, saved_model, servers
from export.graphs import Graphs
from tests.paths import ROOT


@pytest.fixture(scope="module")
def model():
    from alae_tf.config import Config
    from alae_tf.model.autoencoder import Autoencoder
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
    for _ in range(1200):
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
    assert run(url, "encode", photo, f"--out={tmp_path}/w.json") == 0
    (row,) = json.loads((tmp_path / "w.json").read_text()).items()
    assert row[0] == str(photo) and np.abs(row[1] - w[0]).max() < 1e-5
    assert run(url, "decode", f"{tmp_path}/w.json", f"--out={tmp_path}/by_file.png") == 0
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


def test_the_server_survives_bad_requests(url, photo, tmp_path, capsys):
    np.save(tmp_path / "bad.npy", np.zeros([2, 7], np.float32))
    assert run(url, "decode", f"{tmp_path}/bad.npy", f"--out={tmp_path}/image.png") == 1
    assert "Graph execution error" not in capsys.readouterr().err
    np.save(tmp_path / "bad.npy", np.zeros([2, 3, 8], np.float32))
    assert run(url, "decode", f"{tmp_path}/bad.npy", f"--out={tmp_path}/image.png") == 1
    assert "styles" in capsys.readouterr().err
    assert run(url, "--model=other", "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert "404" in (err := capsys.readouterr().err) or "NOT_FOUND" in err
    (tmp_path / "photo.png").write_bytes(b"no image")
    assert run(url, "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert "photo.png" in capsys.readouterr().err
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
    for command in (["encode", photo, f"--out={tmp_path}/w.npy"], ["generate", "--out=a.png"]):
        assert run(url, "--patience=0.3", *command) == 1
        message = capsys.readouterr().err
        assert url in message and "--latent_size" not in message


class Comes:
    """A server that is unavailable at first."""

    def __init__(self, errors):
        self.errors = list(errors)

    def ask(self):
        if self.errors:
            raise self.errors.pop(0)
        return 7


def test_a_server_that_comes_back_is_waited_for():
    away = [servers.ServerUnavailable("not yet")] * 2
    assert servers.patiently(Comes(away).ask, patience=5) == 7
    with pytest.raises(servers.ServerUnavailable):  # long before try 51, which answers
        servers.patiently(Comes(away * 25).ask, patience=0.5)
    with pytest.raises(servers.ServerError, match="refused"):  # at once
        servers.patiently(Comes([servers.ServerError("refused")]).ask, patience=5)


@pytest.mark.parametrize("cut", ["before", "within"])
def test_a_connection_that_is_cut_is_made_again(cut):
    """Before the answer's head, and within its body."""
    body = b'{"predictions": [[1, 2]]}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    answers = [b"" if cut == "before" else head + body[:5], head + body]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(2**16)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        rest = servers.Rest(url, "alae", timeout=60)
        found = rest.predict("decode", {"w": np.zeros([1, 2])})
        np.testing.assert_array_equal(found[""], [[1, 2]])


def test_wrong_flags(tmp_path, capsys):
    good = f"--out={tmp_path}/a.png"
    for url, arguments, message in (
        ("ftp://x", ["generate", good], "--url: "),
        ("http://x", ["generate", f"--out={tmp_path}/a.jpg"], "--out: "),
        ("http://x", ["encode", "a.png", f"--out={tmp_path}/a.png"], "--out: "),
        ("http://x", ["generate", f"--out={tmp_path}/none/a.png"], "--out: "),
        ("http://x", ["--batch=0", "generate", good], "--batch: "),
        ("http://x", ["--timeout=nan", "generate", good], "--timeout: "),
        ("http://x", ["generate", "--seed=-1", good], "--seed: "),
        ("http://x", ["generate", "--psi=nan", good], "--psi: "),
        ("http://x", ["generate", "--count=99999999999", good], "--count: "),
        ("http://x", ["generate", "--latent_size=99999999999", good], "--latent_size: "),
    ):
        with pytest.raises(SystemExit) as stop:
            run(url, *arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_refused_images_of_a_folder_are_left_out(url, model, photo, tmp_path, capsys):
    """The server knows the limits of its model, for example that images must be grey."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes(photo.read_bytes())
    (folder / "broken.png").write_bytes(b"no image")
    refused = client.read

    def read(path):
        return b"no image for the server" if path.name == "1.png" else refused(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "read", read)
        assert run(url, "encode", folder, f"--out={tmp_path}/w.npy") == 0
        err = capsys.readouterr().err
        assert f"{folder}/broken.png" in err
        assert f"{folder}/1.png: {url}" in err
        assert run(url, "encode", folder / "1.png", f"--out={tmp_path}/none.npy") == 1
    w = np.load(tmp_path / "w.npy")
    pixels = np.asarray(Image.open(photo))
    np.testing.assert_allclose(w, np.stack([model.encode(pixels)] * 2), atol=1e-4)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request with `body`, at once or byte by byte."""

    body, status, drip = b"", 200, None

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        head = f"HTTP/1.1 {self.status} so\r\nContent-Length: {len(self.body)}\r\n\r\n".encode()
        try:
            if self.drip is None:
                self.wfile.write(head + self.body)
                return
            data = head + self.body if self.drip == "head" else self.body
            if self.drip == "body":
                self.wfile.write(head)
            for byte in data:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
        except OSError:  # the client has gone
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def ill():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Answers.body, Answers.status, Answers.drip = b"", 200, None
    server.shutdown()
    server.server_close()


def picture(*shape):
    """Rows of one picture, black."""
    return json.dumps({"predictions": [{"pixels": np.zeros(shape, int).tolist()}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        picture(4, 4, 0),
        picture(4, 4, 5),
        picture(4, 4),
        picture(1, 1, 1).replace(b"0", b"999999"),
        picture(1, 1, 1).replace(b"0", b"-1"),
        picture(1, 1, 1).replace(b"0", b"0.5"),
        picture(1, 1, 1).replace(b"0", b"NaN"),
        picture(1, 1, 1).replace(b"0", b"9" * 400),
        b'{"predictions": [[[[1]], [[1, 2]]]]}',
        b'{"predictions": {"a": 1}}',
        b'{"predictions": 7}',
        b"[" * 100_000,
        b"<html>",
        b"\xff",
    ],
)
def test_malformed_answers(ill, tmp_path, capsys, body):
    Answers.body = body
    arguments = ["generate", "--latent_size=8", f"--out={tmp_path}/a.png"]
    assert run(ill, *arguments) == 1
    assert ill in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codes", ["[[1, NaN]]", '[["a", "b"]]', "[[true, false]]", "[1, 2]"])
def test_codes_of_a_server_are_checked(ill, photo, tmp_path, capsys, codes):
    Answers.body = f'{{"predictions": {codes}}}'.encode()
    assert run(ill, "encode", photo, f"--out={tmp_path}/w.npy") == 1
    assert ill in capsys.readouterr().err
    assert not (tmp_path / "w.npy").exists()


def test_answers_of_other_lengths(ill, photo, tmp_path, capsys, monkeypatch):
    lengths = iter((2, 3))
    monkeypatch.setattr(
        servers.Rest, "predict", lambda *_: {"w": np.zeros([1, next(lengths)], np.float32)}
    )
    arguments = ["encode", photo, photo, f"--out={tmp_path}/w.npy"]
    assert run(ill, "--batch=1", *arguments) == 1
    assert "[(2,), (3,)]" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["99999999999", "-1", "0", "[]", "null", '"x"'])
def test_impossible_lengths_of_z(ill, tmp_path, capsys, size):
    z = b'{"tensor_shape": {"dim": [{"size": -1}, {"size": %s}]}}' % size.encode()
    of = b'{"generate": {"inputs": {"z": %s}}}' % z
    Answers.body = b'{"metadata": {"signature_def": {"signature_def": %s}}}' % of
    assert run(ill, "generate", f"--out={tmp_path}/a.png") == 1
    assert "--latent_size" in capsys.readouterr().err


@pytest.mark.parametrize("drip", ["head", "body"])
def test_a_server_that_drips_is_given_up(ill, tmp_path, capsys, drip):
    Answers.body, Answers.drip = picture(4, 4, 3), drip
    arguments = ["generate", "--latent_size=8", f"--out={tmp_path}/a.png"]
    assert run(ill, "--timeout=0.4", *arguments) == 1
    assert "--timeout" in capsys.readouterr().err


def test_a_grpc_server_that_drips_is_given_up(tmp_path, capsys):
    """Beneath gRPC: bytes that come now and then, of HTTP/2's first frame."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for byte in b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 20:
                    connection.send(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        url = f"grpc://127.0.0.1:{server.getsockname()[1]}"
        arguments = ["generate", "--latent_size=8", f"--out={tmp_path}/a.png"]
        assert run(url, "--timeout=0.4", *arguments) == 1
        assert f"{url}: DEADLINE_EXCEEDED" in capsys.readouterr().err


def test_messages_of_a_server_cannot_control_the_terminal(ill, tmp_path, capsys):
    Answers.status, Answers.body = 500, b'{"error": "\\u001b]0;mine\\u0007 bad"}'
    arguments = ["generate", "--latent_size=8", f"--out={tmp_path}/a.png"]
    for body in (Answers.body, b"\x1b]0;mine\x07 bad"):
        Answers.body = body
        assert run(ill, *arguments) == 1
        assert "500: \\x1b]0;mine\\x07 bad" in capsys.readouterr().err


def test_arrays_of_a_server_that_say_more_than_they_hold(grpc_url, tmp_path, capsys):
    from tensorflow_serving.apis import predict_pb2

    server = servers.Grpc(grpc_url, "alae", 5.0)
    for sizes in ((10**11,), (-1, 4), (3, 5)):
        answer = predict_pb2.PredictResponse()
        tensor = answer.outputs["pixels"]
        tensor.dtype = 1
        for size in sizes:
            tensor.tensor_shape.dim.add().size = size
        tensor.tensor_content = bytes(8)
        server.ask = lambda *_, answer=answer: answer
        with pytest.raises(servers.WrongAnswer):
            server.predict("generate", {"z": np.zeros([1, 8], np.float32)})
