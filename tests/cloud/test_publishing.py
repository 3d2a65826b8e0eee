import pytest

from alae_tf.cloud import publishing
from alae_tf.cloud.lease import Lease, LeaseLost
from alae_tf.cloud.storage import Storage, StorageError, UploadFailed
from alae_tf.system.errors import AlaeError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    return f"file://{tmp_path}/there"


def opened(url, wanted=None):
    return publishing.opened(url, "export", "mark", lambda name: int(name == "mark"), wanted)


def test_a_path_of_this_machine_is_left_alone(tmp_path):
    with opened(tmp_path) as (out, upload):
        upload()
        assert out == tmp_path
    assert not list(tmp_path.iterdir())


def test_what_was_there_is_downloaded_and_the_mark_uploaded_last(url, tmp_path, monkeypatch):
    storage = Storage("", url)
    storage.write("mark", b"1")
    storage.write("old", b"1")
    done, real = [], Storage.upload
    monkeypatch.setattr(
        Storage, "upload", lambda self, path, name: (done.append(name), real(self, path, name))
    )
    with opened(url) as (out, upload):
        assert (out / "old").read_bytes() == b"1"
        (out / "old").unlink()
        (out / "mark").write_bytes(b"2")
        (out / "new").write_bytes(b"2")
        with pytest.raises(AlaeError, match=f"--out={url}.*writing to it"):
            with opened(url):
                pass
        upload()
    assert done == ["new", "mark"]
    assert storage.list().keys() == {"mark", "new"}
    assert not list((tmp_path / "cache/cloud").iterdir())


def test_nothing_is_uploaded_after_an_error_which_names_the_url(url):
    with pytest.raises(AlaeError, match=f"--out={url}/x: is wrong"):
        with opened(url) as (out, _):
            (out / "x").write_bytes(b"1")
            raise AlaeError(f"--out={out}/x: is wrong")
    assert Storage("", url).list() == {}


def test_other_content_is_refused_before_it_is_downloaded(url):
    Storage("", url).write("photo.jpg", b"1")
    with pytest.raises(AlaeError, match=f"--out={url}: holds files but no export"):
        with opened(url):
            pass


def break_upload(monkeypatch):
    """Uploads of the mark fail until the function returned is called."""
    real = Storage.upload

    def fail(self, path, name):
        if name == "mark":
            raise StorageError(self.where, "503")
        real(self, path, name)

    monkeypatch.setattr(Storage, "upload", fail)
    return lambda: monkeypatch.setattr(Storage, "upload", real)


def test_an_upload_that_fails_keeps_the_files_for_the_next_time(url, tmp_path, monkeypatch):
    needs = {"mark"}.__contains__
    mend = break_upload(monkeypatch)
    with pytest.raises(UploadFailed, match=f"--out={url}: 503") as caught:
        with opened(url, needs) as (out, upload):
            (out / "a").write_bytes(b"1")
            (out / "mark").write_bytes(b"1")
            upload()
    assert caught.value.exit_code == 1
    assert Storage("", url).list().keys() == {"a"}
    mend()
    with monkeypatch.context() as other, pytest.raises(AlaeError, match="holds files but no expo"):
        other.setenv("ALAE_TF_CACHE", str(tmp_path / "other"))
        with opened(url, needs):  # nothing marks what is there as an export
            pass
    with opened(url, needs) as (out, upload):
        assert {path.name for path in out.iterdir()} == {"a", "mark"}
        upload()
    assert Storage("", url).list().keys() == {"a", "mark"}


@pytest.mark.parametrize("before", [[], ["mark", "old"]])
def test_an_interrupted_upload_is_continued_with_all_files(before, url, monkeypatch):
    storage = Storage("", url)
    for name in before:
        storage.write(name, b"1")
    mend = break_upload(monkeypatch)
    with pytest.raises(UploadFailed, match="cache/cloud/export-"):
        with opened(url) as (out, upload):
            for name in ("a", "b", "mark"):
                (out / name).write_bytes(b"new")
            upload()
    mend()
    storage.delete("b")
    with opened(url) as (out, upload):
        assert (out / "mark").read_bytes() == b"new"
        upload()
    assert storage.list().keys() == {"a", "b", "mark", *before}
    assert storage.read("mark") == b"new"


def test_a_refused_continuation_names_the_copy_that_only_this_machine_has(url):
    for _ in range(2):
        with pytest.raises(AlaeError) as caught:
            with opened(url) as (out, _):
                (out / "mark").write_bytes(b"1")
                raise AlaeError(f"--out={out}: other settings")
        assert str(caught.value).startswith(f"--out={url}: other settings")
    assert str(out) in str(caught.value)


def test_a_lost_lease_ends_with_a_message(url, monkeypatch):
    def lost(self):
        raise LeaseLost

    with pytest.raises(UploadFailed, match=f"--out={url}: another process"):
        with opened(url) as (out, upload):
            (out / "mark").write_bytes(b"1")
            monkeypatch.setattr(Lease, "check", lost)
            upload()
