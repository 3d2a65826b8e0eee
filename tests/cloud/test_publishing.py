import pytest

from alae_tf.cloud import publishing
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


def test_an_upload_that_fails_keeps_the_files_for_the_next_time(url, monkeypatch):
    needs = {"mark"}.__contains__
    real = Storage.upload

    def fail(self, path, name):
        if name == "mark":
            raise StorageError(self.where, "503")
        real(self, path, name)

    monkeypatch.setattr(Storage, "upload", fail)
    with pytest.raises(UploadFailed, match=f"--out={url}: 503") as caught:
        with opened(url, needs) as (out, upload):
            (out / "a").write_bytes(b"1")
            (out / "mark").write_bytes(b"1")
            upload()
    assert caught.value.exit_code == 1
    assert Storage("", url).list().keys() == {"a"}
    monkeypatch.setattr(Storage, "upload", real)
    with pytest.raises(AlaeError, match="holds files but no export"):
        with opened(url, needs):  # nothing marks what is there as an export
            pass
