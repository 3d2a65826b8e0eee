import threading

from alae_tf.cloud import uploader
from alae_tf.cloud.lease import LeaseLost
from alae_tf.cloud.storage import StorageError
from alae_tf.cloud.uploader import Uploader


def test_a_failed_upload_is_repeated_and_reported_once(capsys, monkeypatch):
    monkeypatch.setattr(uploader, "FIRST_WAIT", 0.01)
    calls = []

    def upload():
        calls.append(1)
        if len(calls) <= 3:
            raise StorageError("--run_dir=s3://b/x", "503")

    work = Uploader("train", "--run_dir=s3://b/x", upload)
    work.ask()
    assert work.finish(lambda: 10.0)
    work.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(calls) == 4
    assert len(lines) == 2 and "503" in lines[0] and "reachable again" in lines[1]


def test_it_gives_up_at_the_end_but_not_while_an_upload_proceeds(monkeypatch):
    monkeypatch.setattr(uploader, "FIRST_WAIT", 0.01)
    proceed = threading.Event()
    work = Uploader("train", "--run_dir=s3://b/x", lambda: proceed.wait(5))
    work.ask()
    threading.Timer(0.3, proceed.set).start()
    assert work.finish(lambda: 0.0)
    work.close()

    def fail():
        raise StorageError("--run_dir=s3://b/x", "503")

    work = Uploader("train", "--run_dir=s3://b/x", fail)
    work.ask()
    assert not work.finish(lambda: 0.1)
    assert "503" in str(work.failure)
    work.close()


def test_a_lost_lease_ends_all_uploads():
    def lost():
        raise LeaseLost

    work = Uploader("train", "--run_dir=s3://b/x", lost)
    work.ask()
    assert not work.finish(lambda: 10.0)
    assert work.lost
    work.close()
