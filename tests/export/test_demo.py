"""python -m export.demo: which files it replaces, and its server. No model is exported here."""

import http.client
import json
import socket
import threading
from pathlib import Path

import pytest

from alae_tf.system.errors import AlaeError
from export import demo


@pytest.fixture
def build(monkeypatch):
    """Runs the demo with stand-ins for the models and the page; returns its exit code."""

    def write_model(run, folder, checkpoint):
        name = demo.web.name_of(run)
        (folder / "web/model" / name).mkdir(parents=True)
        (folder / "web/model" / name / "model.json").write_text("new")

    def write_page(folder, names, runtime):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text("new")
        (folder / "models.json").write_text(json.dumps(names))

    monkeypatch.setattr(demo, "write_model", write_model)
    monkeypatch.setattr(demo.web, "write_page", write_page)
    monkeypatch.setattr(demo.web, "check_runtime", lambda given: None)
    monkeypatch.setattr(demo.registry, "check_packages", lambda formats: None)

    def run(out, models="digits"):
        return demo.main([f"--out={out}", f"--models={models}", "--build"])

    return run


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


PAGE = {demo.MARK, "index.html", "models.json", "model/digits/model.json"}


def test_only_files_of_the_page_are_replaced(build, tmp_path):
    out = tmp_path / "site"
    assert build(out, "digits,faces64") == 0
    assert files(out) == PAGE | {"model/faces64/model.json"}
    (out / "thesis.tex").write_text("the user's")
    (out / "model/mine").mkdir()
    (out / "model/mine/model.json").write_text("the user's")
    assert build(out) == 0
    assert files(out) == PAGE | {"thesis.tex", "model/mine/model.json"}
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_of_another_kind_is_refused(build, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("models.json").write_text("[]")
    Path("thesis.tex").write_text("the user's")
    for out in (".", tmp_path):
        assert build(out) == 2
        assert f"--out={out}" in capsys.readouterr().err
    assert files(tmp_path) == {"models.json", "thesis.tex"}


@pytest.mark.parametrize("name", ["index.html", "model/digits/model.json"])
def test_a_file_of_the_user_with_the_name_of_a_new_one(build, tmp_path, capsys, name):
    out = tmp_path / "site"
    assert build(out) == 0
    listed = json.loads((out / demo.MARK).read_text())["files"]
    del listed[name]
    (out / demo.MARK).write_text(json.dumps({"files": listed}))
    (out / name).write_text("the user's")
    assert build(out) == 2
    assert name in capsys.readouterr().err
    assert (out / name).read_text() == "the user's"
    assert files(out) == PAGE


@pytest.mark.parametrize("name", ["index.html", "notes.html"])
def test_a_listed_file_that_was_changed(build, tmp_path, capsys, name):
    """Also a list that was forged so that it names a file of the user."""
    assert build(tmp_path) == 0
    listed = json.loads((tmp_path / demo.MARK).read_text())["files"]
    (tmp_path / demo.MARK).write_text(json.dumps({"files": listed | {name: [64 * "0"]}}))
    (tmp_path / name).write_text("the user's")
    assert build(tmp_path) == 2
    assert f"--out={tmp_path}: {name}" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "the user's"


def test_after_a_kill_a_page_is_replaced(build, tmp_path, monkeypatch):
    assert build(tmp_path) == 0
    (tmp_path / "index.html").write_text("old")  # as an earlier version wrote it
    (tmp_path / demo.MARK).write_text(
        json.dumps({"files": {"index.html": [demo.sha256(tmp_path / "index.html")]}})
    )
    for path in (tmp_path / "models.json", tmp_path / "model/digits/model.json"):
        path.unlink()

    def killed(moves):
        for before, after in moves[1:]:  # leaves the old index.html
            if after != tmp_path / "index.html":
                after.parent.mkdir(parents=True, exist_ok=True)
                before.rename(after)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "move", killed)
        assert build(tmp_path) == 130
    assert (tmp_path / "index.html").read_text() == "old"
    assert build(tmp_path) == 0
    assert files(tmp_path) == PAGE and (tmp_path / "index.html").read_text() == "new"


@pytest.mark.parametrize(
    "text", ["[", "[]", "{}", '{"files": 5}', '{"files": [5]}', '{"files": {"a": 5}}', "[" * 10**5]
)
def test_a_damaged_list(build, tmp_path, capsys, text):
    (tmp_path / demo.MARK).write_text(text)
    assert build(tmp_path) == 2
    assert demo.MARK in capsys.readouterr().err


@pytest.mark.parametrize("name", ["site[1]", "site*"])
def test_names_that_tensorflow_expands(build, tmp_path, capsys, name):
    assert build(tmp_path / name) == 2
    assert f"--out={tmp_path / name}" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_list_that_names_files_outside(build, tmp_path):
    victim = tmp_path / "thesis.tex"
    victim.write_text("the user's")
    out = tmp_path / "site"
    out.mkdir()
    (out / "link").symlink_to(tmp_path)
    for name in ("../thesis.tex", str(victim), "link/thesis.tex"):
        listed = {name: [demo.sha256(victim)]}
        (out / demo.MARK).write_text(json.dumps({"files": listed}))
        assert build(out) == 2
    assert victim.read_text() == "the user's"


@pytest.mark.parametrize("name", ["thesis.tex", "model/../thesis.tex", "./thesis.tex", ".git/x"])
def test_a_list_that_names_files_of_the_user(build, tmp_path, capsys, name):
    (tmp_path / "model").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / name).write_text("the user's")
    listed = {name: [demo.sha256(tmp_path / name)]}
    (tmp_path / demo.MARK).write_text(json.dumps({"files": listed}))
    assert build(tmp_path) == 2
    assert demo.MARK in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "the user's"


def test_files_that_a_page_may_have(tmp_path):
    names = [*demo.web.NAMES, *(f"{path.name}" for path in demo.web.PAGE.iterdir())]
    names = [f"runtime/{name}" if name in demo.web.NAMES else name for name in names]
    for name in (*names, "models.json", "model/.a..b/decoder.tflite"):
        assert demo.LISTED.fullmatch(name)


def test_a_failed_build_leaves_what_was_there(build, tmp_path, monkeypatch):
    def fail(*args):
        raise AlaeError("no page")

    out = tmp_path / "site"
    monkeypatch.setattr(demo.web, "write_page", fail)
    assert build(out) == 2
    assert not list(tmp_path.iterdir())
    out.mkdir()
    assert build(out) == 2
    assert not list(out.iterdir())


@pytest.fixture
def server(tmp_path):
    (tmp_path / "large").write_bytes(bytes(10**7))
    server = demo.bind(tmp_path, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/%00", "/a%00b", "/%ED%A0%80"])
def test_paths_that_no_file_has(server, capfd, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 400
    connection.close()
    assert not capfd.readouterr().err


def test_visitors_who_leave_early(server, capfd, monkeypatch):
    handled = threading.Event()
    shut = server.shutdown_request
    monkeypatch.setattr(server, "shutdown_request", lambda r: (shut(r), handled.set()))
    with socket.create_connection(server.server_address) as visitor:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        visitor.sendall(b"GET /large HTTP/1.0\r\n\r\n")
        visitor.recv(1)
    assert handled.wait(10)
    assert not capfd.readouterr().err
