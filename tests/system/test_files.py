"""Whole files, temporary names, locks, and paths that tables name."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest

from alae_tf.system import files
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import (
    Lock,
    check_directory,
    check_length,
    check_output,
    member,
    move,
    replacements,
    sweep,
    temporary_folder,
    unchanged,
    unused,
    write_atomic,
)

LEFT = f".alae-{16 * '0'}.partial"


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    """The second starts and ends while the first is at work."""
    path = tmp_path / "file"

    def first(file):
        file.write(b"first")
        write_atomic(path, b"second, longer")
        assert path.read_bytes() == b"second, longer"

    write_atomic(path, first)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_no_link_is_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"the user's")
    for name in ("file.partial", "link"):
        (tmp_path / name).symlink_to(victim)
    write_atomic(tmp_path / "file", b"new")
    write_atomic(tmp_path / "link", b"new")
    with pytest.raises(OSError):
        Lock(tmp_path / "file.partial")
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: 16 * "0")
    (tmp_path / LEFT).symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "file", b"newer")
    assert victim.read_bytes() == b"the user's"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_an_error_names_the_file_that_could_not_be_written(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError) as error:
        write_atomic(tmp_path / "none" / "file", b"")
    assert error.value.filename == str(tmp_path / "none" / "file")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as error:
        write_atomic(tmp_path / "file", b"")
    assert (error.value.filename, error.value.errno) == (str(tmp_path / "file"), 28)
    assert not list(tmp_path.iterdir())


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_sweep_deletes_only_our_own_unused_files(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("the user's")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine.partial").write_text("the user's")
    (folder / ".partial-mine").mkdir()
    (folder / LEFT).write_text("half")
    (folder / LEFT.replace("0", "1")).mkdir()
    (folder / LEFT.replace("0", "1") / "link").symlink_to(outside)
    (folder / LEFT.replace("0", "2")).symlink_to(outside)

    def data(file):
        file.write(b"whole")
        file.flush()
        sweep(folder)

    write_atomic(folder / "file", data)
    with temporary_folder(folder) as ours:
        (ours / "file").touch()
        sweep(folder)
        assert (ours / "file").exists()
    names = {path.name for path in folder.iterdir()}
    assert names == {"file", "mine.partial", ".partial-mine", LEFT.replace("0", "2")}
    assert (outside / "file").exists()


def test_a_writer_waits_while_sweep_holds_its_new_file(tmp_path):
    lock, held = files.fcntl.flock, []

    def sweep_first(descriptor, operation):
        """Another holder of the writer's file, as `sweep` is for a moment."""
        if not held:
            (path,) = tmp_path.glob("*.partial")
            held.append(open(path, "rb+"))
            lock(held[0], files.fcntl.LOCK_EX)
            threading.Timer(0.05, held[0].close).start()
        lock(descriptor, operation)

    with mock.patch.object(files.fcntl, "flock", sweep_first):
        write_atomic(tmp_path / "file", b"whole")
    assert held and (tmp_path / "file").read_bytes() == b"whole"


def test_sweep_never_takes_a_file_from_its_writer(tmp_path):
    done = threading.Event()

    def sweeping():
        while not done.is_set():
            sweep(tmp_path)

    thread = threading.Thread(target=sweeping)
    thread.start()
    try:
        for number in range(100):
            write_atomic(tmp_path / "file", f"{number}".encode())
    finally:
        done.set()
        thread.join()
    assert (tmp_path / "file").read_text() == "99"


def test_sigterm_deletes_the_temporary_folder(tmp_path):
    code = (
        "import os, sys, signal; from pathlib import Path; from alae_tf.system.files import *\n"
        "with temporary_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'file').touch(); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True)
    assert done.returncode == 128 + signal.SIGTERM and not done.stderr
    assert not list(tmp_path.iterdir())


def test_a_lock_whose_file_was_deleted(tmp_path):
    path = tmp_path / ".lock"
    first = Lock(path)
    assert first.holds
    path.unlink()
    assert not first.holds
    with Lock(path) as second, pytest.raises(BlockingIOError):
        assert second.holds and not first.holds
        Lock(path)
    first.release()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "link/x", "", ".", "a\0", "a/.."])
@pytest.mark.parametrize("follow", [True, False])
def test_names_that_lead_out_of_their_folder(tmp_path, name, follow):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path)
    with pytest.raises(ValueError):
        member(tmp_path / "folder", name, follow)


def test_names_within_their_folder(tmp_path):
    (tmp_path / "x").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to("../x")
    assert member(tmp_path / "folder", "a/b.png") == tmp_path / "folder/a/b.png"
    assert member(tmp_path / "folder", "link", follow=False).is_symlink()
    with pytest.raises(ValueError):
        member(tmp_path / "folder", "link")


@pytest.fixture
def page(tmp_path):
    """A folder with the old file a/x and the user's b, and new files a/x and c/y beside it."""
    for name, text in {
        "page/a/x": "old", "page/b": "the user's", "new/a/x": "new", "new/c/y": "new"
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "page"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_new_files_take_the_place_of_old_ones(page):
    new, aside = page.parent / "new", page.parent / "aside"
    move(replacements(new, ["a/x", "c/y"], page, ["a/x", "gone"], aside))
    assert contents(page) == {"a/x": "new", "b": "the user's", "c/y": "new"}
    assert contents(aside) == {"a/x": "old"}
    move(replacements(new, [], page, ["a/x"], page.parent / "later"))
    assert not (page / "a").exists()  # it was left empty


def test_nothing_else_is_replaced(page):
    new, aside = page.parent / "new", page.parent / "aside"
    (page / "d").mkdir()
    for names, old in (
        (["a/x"], []),  # not listed
        (["b/y"], ["b/y"]),  # a file has the name of its folder
        ([], ["d"]),  # a directory has the name of an old file
        ([], ["../new/a/x"]),
    ):
        with pytest.raises(AlaeError):
            replacements(new, names, page, old, aside)


def test_if_one_cannot_be_renamed_all_are_as_before(page):
    new, before = page.parent / "new", contents(page)
    moves = replacements(new, ["a/x", "c/y"], page, ["a/x"], page.parent / "aside")
    (new / "c/y").unlink()
    with pytest.raises(FileNotFoundError):
        move(moves)
    assert contents(page) == before


def test_a_pipe_or_a_link_in_place_of_a_lock(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "link"):
        with pytest.raises(OSError):
            Lock(tmp_path / name)
    assert not (tmp_path / "file").exists()


def test_outputs_among_links_in_a_circle(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(AlaeError, match="--out"):
        check_output("--out", tmp_path / "circle/x.png", overwrite=False)
    check_output("--out", tmp_path / "circle", overwrite=False)  # the link would be replaced


@pytest.mark.parametrize(
    "name", ["x" * 256, "é" * 128, "none/" + "x" * 256, ("a" * 250 + "/") * 17]
)
def test_names_that_are_too_long(tmp_path, name):
    for path in (tmp_path / name, tmp_path / name / "b"):
        with pytest.raises(AlaeError, match="--out="):
            check_length("--out", path)
    with pytest.raises(AlaeError, match="--out="):
        check_directory("--out", tmp_path / name, "export", "mark.json")
    with pytest.raises(AlaeError, match="--out="):
        check_output("--out", tmp_path / name, overwrite=True)
    assert not list(tmp_path.iterdir())
    check_directory("--out", tmp_path / "none" / ("é" * 127), "export", "mark.json")


def test_files_that_are_as_they_were_written(tmp_path):
    for name in ("same", "changed", "a/same"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to("same")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    written = dict.fromkeys(
        ["same", "a/same", "link", "folder", "pipe", "none", "../x"], [None, "0", empty]
    )
    assert unchanged(tmp_path, written | {"changed": ["0", None]}) == {"same", "a/same"}
    assert not unchanged(tmp_path / "a", {"../same": [empty]})


def test_a_name_that_is_not_taken(tmp_path):
    assert unused(tmp_path / "a.csv") == tmp_path / "a.csv"
    (tmp_path / "a.csv").touch()
    (tmp_path / "a-2.csv").symlink_to("nowhere")
    assert unused(tmp_path / "a.csv") == tmp_path / "a-3.csv"


def test_directories_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("none")
    (tmp_path / "circle").symlink_to("circle")
    for name in ("file", "file/new", "nowhere", "nowhere/new", "circle"):
        with pytest.raises(AlaeError, match=f"--out={tmp_path / name}: "):
            check_directory("--out", tmp_path / name, "export", "mark")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "link", "link/new", "folder/a/b"):
        assert not check_directory("--out", tmp_path / name, "export", "mark")
        assert not check_directory("--out", Path(name), "export", "mark")
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)  # root may write anywhere
    for name in ("folder", "folder/a/b"):
        with pytest.raises(AlaeError, match=f"--out={tmp_path / name}: .*read-only"):
            check_directory("--out", tmp_path / name, "export", "mark")
