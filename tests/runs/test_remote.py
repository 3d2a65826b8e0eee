"""Run directories in storage, without training."""

import shutil

import pytest

from alae_tf.cloud import lease, uploader
from alae_tf.cloud.storage import Storage, StorageError, UploadFailed
from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory, RunTakenError, existing_run, list_checkpoints
from alae_tf.runs.remote import newest, rank
from alae_tf.system.errors import AlaeError, CheckpointError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALAE_TF_LEASE_SECONDS", "0.4")
    monkeypatch.setattr(uploader, "FIRST_WAIT", 0.01)
    return f"file://{tmp_path}/there/run"


def opened(url):
    directory = RunDirectory(url)
    directory.fetch()
    directory.check(Config(), "auto")
    directory.open()
    directory.write_config(Config())
    directory.checkpoints.mkdir(exist_ok=True)
    return directory


def save(directory, images):
    (directory.checkpoints / f"images-{images:012d}.npz").write_bytes(b"%d" % images)
    directory.publish()


def upload(directory):
    directory.publish()
    directory._remote.finish(lambda: 5)


def kill(directory):
    """What the system does when a process dies: its locks are gone, and its threads."""
    directory._remote._uploader.close()
    directory._remote._lease._ended.set()
    directory._remote._copy.unlock()
    directory._release()


def numbers(path):
    return [int(file.stem[7:]) for file in list_checkpoints(path)]


def other_machine(monkeypatch, tmp_path, name="other"):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / name))


def test_uploads_come_in_an_order_from_which_a_run_can_continue():
    names = ["checkpoints/best.json", "checkpoints/images-000000000008.npz", "metrics.csv"]
    names += ["checkpoints/images-000000000016.npz", "config.cfg", "samples/a.png"]
    assert sorted(names, key=rank) == [names[i] for i in (4, 2, 5, 1, 3, 0)]
    assert newest(names) == [names[3]]


def test_a_run_continues_on_another_machine(url, monkeypatch, tmp_path):
    directory = opened(url)
    save(directory, 8)
    save(directory, 16)
    (directory.checkpoints / "images-000000000008.npz").unlink()
    directory.publish()
    directory.finish(lambda: 5.0)
    directory.close()
    other_machine(monkeypatch, tmp_path)
    assert numbers(existing_run(url)) == [16]
    assert RunDirectory(url).begun
    again = opened(url)
    assert numbers(again.path) == [16]
    again.close()


def test_a_run_that_was_killed_continues_with_what_it_had_not_uploaded(url, monkeypatch):
    directory = opened(url)
    save(directory, 8)
    directory.finish(lambda: 5.0)
    kill(directory)
    (directory.checkpoints / "images-000000000016.npz").write_bytes(b"16")
    again = opened(url)
    assert numbers(again.path) == [8, 16]
    assert numbers(existing_run(url)) == [8, 16]
    again.close()


def test_a_run_that_was_continued_elsewhere_is_downloaded(url, monkeypatch, tmp_path, capsys):
    directory = opened(url)
    save(directory, 8)
    directory.finish(lambda: 5.0)
    kill(directory)
    (directory.checkpoints / "images-000000000016.npz").write_bytes(b"only here")
    other_machine(monkeypatch, tmp_path)
    elsewhere = opened(url)  # after the lease has expired
    save(elsewhere, 24)
    elsewhere.finish(lambda: 5.0)
    elsewhere.close()
    other_machine(monkeypatch, tmp_path, "cache")
    again = opened(url)
    assert numbers(again.path) == [8, 24]
    assert "not been uploaded" in capsys.readouterr().err
    (kept,) = tmp_path.glob("cache/cloud/run-*/run-before-1/checkpoints/images-000000000016.npz")
    assert kept.read_bytes() == b"only here"
    again.close()


def test_two_processes(url, monkeypatch, tmp_path):
    directory = opened(url)
    with pytest.raises(AlaeError, match=f"--run_dir={url}.*training in it"):
        opened(url)
    other_machine(monkeypatch, tmp_path)
    with pytest.raises(AlaeError, match="training in it"):
        opened(url)
    directory.close()
    opened(url).close()


def test_a_run_whose_lease_was_taken_writes_nothing_more(url, monkeypatch):
    directory = opened(url)
    save(directory, 8)
    directory.finish(lambda: 5.0)
    Storage("", url).write(f"{lease.FOLDER}{9:012}", b"{}")
    save(directory, 16)
    with pytest.raises(RunTakenError, match=f"--run_dir={url}"):
        directory.finish(lambda: 5.0)
        directory.require()
    directory.close()
    names = Storage("", url).list()
    assert "checkpoints/images-000000000016.npz" not in names


def test_storage_that_stays_unreachable_loses_nothing_here(url, monkeypatch):
    directory = opened(url)
    real = Storage.write

    def fail(self, name, data):
        raise StorageError(self.where, "503")

    monkeypatch.setattr(Storage, "write", fail)
    save(directory, 8)
    with pytest.raises(UploadFailed, match=f"--run_dir={url}: 503") as caught:
        directory.finish(lambda: 0.1)
    assert str(directory.path) in str(caught.value) and caught.value.exit_code == 1
    directory.close()
    monkeypatch.setattr(Storage, "write", real)
    again = opened(url)
    assert numbers(again.path) == numbers(existing_run(url)) == [8]
    again.close()


@pytest.mark.parametrize("lost", ["*", "checkpoints/*16.npz", "results.jsonl"])
def test_files_that_a_cleaner_deletes_from_the_copy_stay_in_storage(url, lost):
    directory = opened(url)
    (directory.path / "results.jsonl").write_text("{}\n")
    (directory.path / "of somebody else").write_text("mine")
    for images in (16, 24):
        save(directory, images)
    directory.close()
    before = Storage("", url).list().keys()
    for path in directory.path.glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = opened(url)
    assert numbers(again.path) == [16, 24]
    again.close()
    assert {name for name in before if not name.startswith(".")} <= Storage("", url).list().keys()


def test_a_copy_that_is_deleted_during_training_deletes_nothing_in_storage(url):
    directory = opened(url)
    for images in (16, 24):
        save(directory, images)
    directory.finish(lambda: 5)
    (directory.checkpoints / "images-000000000016.npz").unlink()  # as training does
    upload(directory)
    shutil.rmtree(directory.path)
    upload(directory)
    assert {"config.cfg", "checkpoints/images-000000000024.npz"} <= Storage("", url).list().keys()
    assert "checkpoints/images-000000000016.npz" not in Storage("", url).list()
    kill(directory)


def test_files_that_somebody_deleted_from_storage_are_uploaded_again(url):
    directory = opened(url)
    save(directory, 16)
    directory.close()
    storage = Storage("", url)
    for name in ("config.cfg", "checkpoints/images-000000000016.npz"):
        storage.delete(name)
    opened(url).close()
    assert {"config.cfg", "checkpoints/images-000000000016.npz"} <= storage.list().keys()


def test_a_folder_with_other_content(url):
    Storage("", url).write("photo.jpg", b"1")
    with pytest.raises(AlaeError, match=f"--run_dir={url}: holds files but no run"):
        opened(url)
    with pytest.raises(CheckpointError, match=f"--init_from={url}: not a run"):
        existing_run(url, "--init_from")
