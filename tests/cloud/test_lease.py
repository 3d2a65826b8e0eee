"""Leases, on a folder of this machine; S3's conditional write has a test in test_storage."""

import threading

import pytest

from alae_tf.cloud.lease import Lease, LeaseLost
from alae_tf.cloud.storage import Storage
from alae_tf.system.errors import AlaeError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


@pytest.fixture
def storage(tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_LEASE_SECONDS", "0.4")
    return Storage("--run_dir", f"file://{tmp_path}")


def test_a_held_lease_is_refused_and_a_returned_one_taken(storage):
    one, two = (Lease(storage, name, "training in it") for name in ("one", "two"))
    assert one.take() is None
    with pytest.raises(AlaeError, match="--run_dir=.*training in it"):
        two.take()
    one.give_back()
    assert two.owner() == "one"
    assert two.take() == "one"
    two.give_back(forget=True)
    assert storage.list() == {}


def test_an_expired_lease_is_taken_and_its_holder_learns_of_it(storage, monkeypatch):
    one, two = (Lease(storage, name, "training in it") for name in ("one", "two"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)  # does not renew
    one.take()
    monkeypatch.undo()
    monkeypatch.setenv("ALAE_TF_LEASE_SECONDS", "0.4")
    assert two.take() == "one"
    with pytest.raises(LeaseLost):
        one.check()
    two.check()
    two.give_back()


def test_the_same_copy_does_not_wait_for_its_own_lease(storage, monkeypatch):
    monkeypatch.setenv("ALAE_TF_LEASE_SECONDS", "1000")
    Lease(storage, "one", "training in it").take()
    again = Lease(storage, "one", "training in it")
    assert again.take() == "one"
    again.give_back()


def test_of_two_processes_that_take_the_next_lease_one_has_it(storage, monkeypatch):
    real = Storage.create

    def late(self, name, data):
        monkeypatch.setattr(Storage, "create", real)
        assert Lease(storage, "two", "training in it").take() is None
        return real(self, name, data)

    monkeypatch.setattr(Storage, "create", late)
    with pytest.raises(AlaeError, match="training in it"):
        Lease(storage, "one", "training in it").take()
