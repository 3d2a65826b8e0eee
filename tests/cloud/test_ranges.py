import gzip
import io

import pytest

from alae_tf.cloud import ranges
from alae_tf.cloud.ranges import Blocks, RemoteFile
from alae_tf.cloud.storage import Storage
from alae_tf.system.errors import AlaeError

pytest.importorskip("fsspec", reason="the extra cloud is not installed")
DATA = bytes(range(256)) * 10


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 1000)
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    storage = Storage("--data", f"file://{tmp_path}/there")
    storage.write("x", DATA)
    return RemoteFile(storage, "x", storage.list()["x"])


def test_ranges_are_those_of_the_file_and_come_from_the_cache_next_time(file, monkeypatch):
    assert file.read(990, 2010) == DATA[990:2010]
    monkeypatch.setattr(Storage, "read", None)
    assert file.read(0, 2500) == DATA[:2500]
    assert file.read(2550, 9999) == DATA[2550:]
    assert file.read(9999, 10000) == b""


def test_a_damaged_block_of_the_cache_is_read_again(file):
    file.read(0, 10)
    (block,) = ranges.blocks().folder.iterdir()
    block.write_bytes(b"short")
    assert file.read(0, 10) == DATA[:10]


def test_another_version_has_other_blocks(file):
    file.read(0, 10)
    file._storage.write("x", DATA[::-1])
    again = RemoteFile(file._storage, "x", file._storage.list()["x"])
    assert again.read(0, 10) == DATA[::-1][:10]


def test_an_answer_cut_short_is_asked_for_again(file, monkeypatch, capsys):
    real, cut = Storage.read, [b"x"]
    monkeypatch.setattr(Storage, "read", lambda *args: cut.pop() if cut else real(*args))
    monkeypatch.setattr(ranges.time, "sleep", lambda seconds: None)
    assert file.read(0, 10) == DATA[:10]
    assert "1 of 1,000 bytes" in capsys.readouterr().err


def test_storage_that_stays_unreachable(file, monkeypatch):
    monkeypatch.setattr(Storage, "read", lambda *args: b"")
    monkeypatch.setattr(ranges.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(ranges, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(OSError, match="0 of 1,000 bytes"):
        file.read(0, 10)


def test_a_file_for_readers_of_files(file):
    with file.open() as opened:
        assert opened.seek(0, io.SEEK_END) == len(DATA)
        opened.seek(998)
        assert opened.read(4) == DATA[998:1002] and opened.tell() == 1002
        opened.seek(-2, io.SEEK_END)
        assert opened.read(10) == DATA[-2:]
    packed = gzip.compress(DATA)
    file._storage.write("x.gz", packed)
    remote = RemoteFile(file._storage, "x.gz", file._storage.list()["x.gz"])
    with remote.open() as opened, gzip.open(opened) as unpacked:
        assert unpacked.read() == DATA


def test_the_cache_keeps_its_limit(tmp_path):
    blocks = Blocks(tmp_path, limit=1000)
    for number in range(50):
        blocks.add(tmp_path / f"a-{number}", b"x" * 100)
    kept = {path.name for path in tmp_path.iterdir()}
    assert len(kept) <= 11 and "a-49" in kept and "a-0" not in kept


def test_a_limit_that_is_no_number(monkeypatch, tmp_path):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("ALAE_TF_CLOUD_CACHE_GIB", "much")
    with pytest.raises(AlaeError, match="ALAE_TF_CLOUD_CACHE_GIB=much"):
        ranges.blocks()
