import errno
import os
import shutil

import pytest

from alae_tf.cloud import copies
from alae_tf.cloud.copies import Copy, merge_lines
from alae_tf.cloud.storage import Entry, Storage, StorageError
from alae_tf.system.errors import AlaeError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


def everything(name):
    return True


def last(name):
    return int(name == "last")


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    return Storage("--run_dir", f"file://{tmp_path}/there")


@pytest.fixture
def copy(storage):
    copy = Copy(storage.url, "run")
    copy.lock()
    copy.path.mkdir()
    return copy


def test_a_download_follows_storage(storage, copy, monkeypatch):
    storage.write("a", b"1")
    storage.write("b/c", b"2")
    storage.write(".lease/000000000001", b"{}")
    copy.download(storage, storage.list(), everything)
    assert (copy.path / "b/c").read_bytes() == b"2" and copy.changed() == []
    assert not (copy.path / ".lease").exists()
    storage.delete("a")
    storage.write("b/c", b"33")
    (copy.path / "mine").write_bytes(b"4")
    copy.download(storage, storage.list(), everything)
    assert [path.name for path in copy.path.rglob("*") if path.is_file()] == ["c"]
    assert (copy.path / "b/c").read_bytes() == b"33"
    monkeypatch.setattr(Storage, "download", None)  # nothing has changed
    copy.download(storage, storage.list(), everything)


def test_an_upload_in_order_which_is_repeated_where_it_stopped(storage, copy, monkeypatch):
    for name in ("last", "a", "z"):
        (copy.path / name).write_bytes(name.encode())
    real, done = Storage.upload, []

    def two(self, path, name):
        if len(done) == 2:
            raise StorageError("--run_dir", "503")
        done.append(name)
        real(self, path, name)

    monkeypatch.setattr(Storage, "upload", two)
    with pytest.raises(StorageError):
        copy.upload(storage, last)
    assert done == ["a", "z"]
    done.clear()
    copy.upload(storage, last)
    assert done == ["last"] and copy.changed() == []
    (copy.path / "a").unlink()
    storage.write("not ours", b"1")
    copy.upload(storage, last)
    assert storage.list().keys() == {"last", "not ours", "z"}


def test_a_pinned_file_is_uploaded_after_it_was_deleted(storage, copy, monkeypatch):
    for name in ("a", "last"):
        (copy.path / name).write_bytes(name.encode())
    real = Storage.upload

    def deleting(self, path, name):
        (copy.path / "last").unlink(missing_ok=True)
        real(self, path, name)

    monkeypatch.setattr(Storage, "upload", deleting)
    seen = []
    monkeypatch.setattr(Storage, "delete", lambda self, name: seen.append(name))
    copy.upload(storage, last, lambda names: ["last"])
    assert storage.read("last") == b"last"
    assert seen == ["last"]  # its turn to be deleted comes after the upload


def test_a_copy_without_its_files_knows_nothing(storage, copy):
    """Otherwise it would delete in storage what it does not have."""
    (copy.path / "a").write_bytes(b"1")
    copy.upload(storage, last)
    (copy.path / "a").unlink()
    copy.path.rmdir()
    copy.unlock()
    again = Copy(storage.url, "run")
    again.lock()
    assert again.id != copy.id
    again.upload(storage, last)
    assert storage.list().keys() == {"a"}


def test_a_copy_is_locked_and_remembered(storage, copy):
    (copy.path / "a").write_bytes(b"1")
    copy.upload(storage, last)
    with pytest.raises(BlockingIOError):
        Copy(storage.url, "run").lock()
    with Copy(storage.url, "read").locked():
        pass
    copy.unlock()
    again = Copy(storage.url, "run")
    again.lock()
    assert again.id == copy.id and again.changed() == []
    again.unlock()


def test_names_that_lead_out_of_the_folder(storage, copy):
    class Hostile:
        where = "--run_dir=s3://b/x"

    with pytest.raises(StorageError, match=r"\.\./x"):
        copy.download(Hostile(), {"../x": (1, "v")}, everything)


@pytest.mark.parametrize("names", [["a//b"], ["./b"], ["a", "a/b"], ["x" * 300]])
def test_names_that_are_no_names_of_files_here(storage, copy, names, monkeypatch):
    def write(self, name, entry, path):
        path.write_bytes(b"")

    monkeypatch.setattr(Storage, "download", write)
    with pytest.raises(StorageError, match=f"--run_dir=.*{names[-1]}"):
        copy.download(storage, dict.fromkeys(names, Entry(0, "v")), everything)


def test_a_file_that_became_a_folder_and_the_other_way_round(storage, copy):
    for before, after in (("a", "a/b/c"), ("a/b/c", "a")):
        storage.write(before, b"1")
        copy.download(storage, storage.list(), everything)
        shutil.rmtree(storage.url.removeprefix("file://"))
        storage.write(after, b"2")
        copy.download(storage, storage.list(), everything)
        assert (copy.path / after).read_bytes() == b"2"


def test_the_index_is_not_written_for_each_file(storage, copy, monkeypatch):
    for number in range(40):
        storage.write(f"{number}", b"1")
    real, written = Copy._write_index, []
    monkeypatch.setattr(Copy, "_write_index", lambda self: (written.append(1), real(self)))
    monkeypatch.setattr(copies, "INDEX_SECONDS", 3600)
    copy.download(storage, storage.list(), everything)
    assert len(written) <= 2
    copy.unlock()
    again = Copy(storage.url, "run")
    again.lock()
    assert again.changed() == []


def test_a_disk_without_hard_links(storage, copy, monkeypatch):
    def refuse(*names):
        raise OSError(errno.EOPNOTSUPP, "no links")

    monkeypatch.setattr(os, "link", refuse)
    (copy.path / "a").write_bytes(b"1")
    copy.upload(storage, last, pinned=lambda names: names)
    assert storage.read("a") == b"1"


def test_a_cache_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "file"))
    with pytest.raises(AlaeError, match=f"{tmp_path}/file/.*ALAE_TF_CACHE"):
        Copy("file:///nowhere/a", "run").lock()


def test_a_full_disk(storage, copy, monkeypatch):
    storage.write("a", b"1")

    def full(self, name, entry, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Storage, "download", full)
    with pytest.raises(StorageError, match=f"--run_dir=.*{copy.path}/a .*No space"):
        copy.download(storage, storage.list(), everything)


def test_lines_of_two_processes_are_joined(storage, tmp_path):
    ours = tmp_path / "ours"
    ours.write_bytes(b"1\n2\n")
    merge_lines(storage, "results.jsonl", ours)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"1\n3\n")
    merge_lines(storage, "results.jsonl", theirs)
    assert storage.read("results.jsonl") == b"1\n3\n2\n"


def test_lines_are_uploaded_even_if_another_command_replaces_the_copy(
    storage, tmp_path, monkeypatch
):
    storage.write("results.jsonl", b"1\n")
    ours = tmp_path / "ours"
    ours.write_bytes(b"1\n2\n")
    real = Storage.list

    def replaced(self, below=""):
        ours.write_bytes(b"1\n")
        return real(self, below)

    monkeypatch.setattr(Storage, "list", replaced)
    merge_lines(storage, "results.jsonl", ours)
    assert storage.read("results.jsonl") == b"1\n2\n"


def test_what_was_set_aside_outlasts_the_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path))
    copy = Copy("file:///nowhere/a", "export")
    copy.lock()
    copy.path.mkdir()
    (copy.path / "mine").touch()
    aside = copy.set_aside()
    copy.path.mkdir()
    copy.remove()
    copy.unlock()
    assert (aside / "mine").exists() and not copy.path.exists()
