import http.server
import itertools
import json
import threading
import time

import numpy as np
import pytest

from export import load
from export.servers import ServerError, WrongAnswer

SHAPE = (4, 4, 1)


class Server:
    """Answers with the mean of its image after 10 ms, as changed by ill(n, answer)."""

    url = "http://here"

    def __init__(self, ill):
        self.ill, self.calls = ill, itertools.count()

    def predict(self, signature, inputs):
        assert signature == "encode"
        time.sleep(0.01)
        w = inputs["images"].mean((1, 2, 3), keepdims=True).reshape(-1, 1)
        return {"w": self.ill(next(self.calls), w)}


def test_every_request_is_counted_and_timed():
    found = load.measure(3, 0.5, SHAPE, lambda: Server(lambda n, w: w))
    assert (found.clients, found.lost, found.wrong, found.errors) == (3, 0, 0, [])
    assert 3 <= found.answered <= 3 * 50
    assert 0 < found.per_second <= found.answered / 0.5
    assert 10 <= found.p50 <= found.p99 <= found.longest


def test_lost_and_wrong_answers_are_counted():
    def ill(n, w):
        if n % 5 == 4:
            raise ServerError("http://here: 500: bad")
        return w * 1.001 if n % 5 == 3 else w

    found = load.measure(2, 0.5, SHAPE, lambda: Server(ill))
    assert found.errors == ["http://here: 500: bad"]
    assert 0 < found.lost <= found.answered / 3
    assert 0 < found.wrong <= found.answered / 3


@pytest.mark.parametrize(
    "answer",
    [
        {"w": np.array([["a"]])},
        {"w": np.array([[None]])},
        {"w": np.array([[np.nan]])},
        {"w": np.array([[1e300]])},
        {"w": np.array([[True]])},
        {"w": np.array([1.0])},
        {"w": np.empty([1, 0])},
        {"v": np.array([[1.0]])},
    ],
)
def test_answers_without_codes_are_wrong(answer):
    class Odd(Server):
        def predict(self, signature, inputs):
            right = super().predict(signature, inputs)
            return answer if next(self.calls) > 6 else right

    found = load.measure(1, 0.1, SHAPE, lambda: Odd(lambda n, w: w))
    assert found.lost == 0 < found.wrong < found.answered
    with pytest.raises(WrongAnswer):
        Odd.predict = lambda *_: answer
        load.measure(1, 0.1, SHAPE, lambda: Odd(None))


def test_a_fault_in_a_thread_is_counted_and_ends_with_1(monkeypatch, capsys):
    def ill(n, w):
        if n > 1:
            time.sleep(0.01)
            raise RuntimeError("cannot schedule new futures")
        return w

    monkeypatch.setattr(load, "connect", lambda *_: Server(ill))
    assert load.main(["--url=http://x", "--shape=4,4,1", "--clients=2", "--seconds=0.1"]) == 1
    assert "RuntimeError" in capsys.readouterr().err


def test_wrong_answers_end_with_1(monkeypatch):
    monkeypatch.setattr(load, "connect", lambda *_: Server(lambda n, w: 2 * w if n else w))
    assert load.main(["--url=http://x", "--shape=4,4,1", "--clients=1", "--seconds=0.1"]) == 1


class Scoring(http.server.BaseHTTPRequestHandler):
    """MLflow's protocol: w is the mean of each image."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        images = np.array(body["inputs"]["images"])
        answer = {"predictions": {"w": images.mean((1, 2, 3), keepdims=True)[:, 0, 0].tolist()}}
        text = json.dumps(answer if self.path == "/invocations" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_the_command_against_mlflows_protocol(tmp_path, capsys):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scoring)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/invocations"
    flags = ["--shape=4,4,1", "--clients=1,2", "--seconds=0.3", f"--json={tmp_path}/load.json"]
    try:
        assert load.main([f"--url={url}", *flags]) == 0
    finally:
        server.shutdown()
        server.server_close()
    rows = json.loads((tmp_path / "load.json").read_text())["loads"]
    assert [row["clients"] for row in rows] == [1, 2]
    assert all(row["answered"] > 0 and row["lost"] == row["wrong"] == 0 for row in rows)
    assert capsys.readouterr().out.count("\n") == 4


def test_json_of_a_server_that_answers_nothing(tmp_path, monkeypatch):
    def lost(n, w):
        if n:
            raise ServerError("http://x: 500: bad")
        return w

    monkeypatch.setattr(load, "connect", lambda *_: Server(lost))
    path = tmp_path / "load.json"
    flags = ["--url=http://x", "--shape=4,4,1", "--clients=1", "--seconds=0.05"]
    assert load.main([*flags, f"--json={path}"]) == 1

    def refuse(constant):
        raise ValueError(constant)  # NaN and Infinity, which are not JSON

    (row,) = json.loads(path.read_text(), parse_constant=refuse)["loads"]
    assert row["answered"] == 0 and row["p50"] is row["longest"] is None


def test_wrong_flags(tmp_path, capsys):
    for flags, message in (
        (["--url=ftp://x", "--shape=4,4,1"], "--url: "),
        (["--url=http://x", "--shape=4,4"], "--shape: "),
        (["--url=http://x", "--shape=4,4,0"], "--shape: "),
        (["--url=http://x", "--shape=4,4,1", "--clients=a"], "--clients: "),
        (["--url=http://x", "--shape=4,4,1", "--seconds=nan"], "--seconds: "),
        (["--url=http://x", "--shape=4,4,1", "--patience=-1"], "--patience: "),
        (["--url=http://x", "--shape=4,4,1", f"--json={tmp_path}/a/b"], "--json: "),
    ):
        with pytest.raises(SystemExit) as stop:
            load.main(flags)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    flags = ["--url=http://127.0.0.1:9", "--shape=4,4,1", "--patience=0"]
    assert load.main(flags) == 1
    assert "load: http://127.0.0.1:9/" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_no_request_is_lost_through_faults(protocol, tmp_path):
    """A minute with a fault every 7 s; docs/measurements/reliability.md has ten."""
    pytest.importorskip("tensorflow_serving", reason="extra `serving`")
    pytest.importorskip("kserve", reason="extra `dev`")
    from alae_tf.config import Config
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.networks.alae import build_alae
    from export import saved_model
    from export.graphs import Graphs
    from tests.export.soak import soak

    model = Autoencoder(config := Config(levels=2, latent_size=8), build_alae(config))
    saved_model.write(model.alae, Graphs(model).signatures(), tmp_path / "1")
    shape = (8, 8, config.image_channels)
    found, faults = soak(tmp_path / "1", protocol, shape, clients=3, seconds=60, every=7.0)
    assert min(faults.values()) >= 2
    assert found.answered > 100
    assert (found.lost, found.wrong, found.errors) == (0, 0, [])
