"""Images behind URLs, in a folder of this machine and on S3."""

import shutil

import numpy as np
import pytest
from PIL import Image

from alae_tf import data, prepare
from alae_tf.cloud import ranges
from alae_tf.cloud.storage import Storage
from alae_tf.data import DataError, open_source
from alae_tf.data.records import RecordFiles

pytest.importorskip("fsspec", reason="the extra cloud is not installed")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Twelve photographs, prepared at 4 and 8 px in two parts."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "photos").mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (9, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{i:02}.png")
    flags = ["--max_resolution=8", "--shards=2", f"--out={folder}/out", "--test_fraction=0.25"]
    assert prepare.main([f"--data=folder:{folder}/photos", *flags]) == 0
    return folder


@pytest.fixture
def url(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ranges, "BLOCK", 1000)
    shutil.copytree(prepared, tmp_path / "there")
    return f"file://{tmp_path}/there"


def test_prepared_images_are_the_same_by_ranges(prepared, url, tmp_path):
    local = open_source(f"tfrecord:{prepared}/out")
    for uri in (f"tfrecord:{url}/out", f"tfrecord:{url}/out/train"):
        data.check(uri)
        remote = open_source(uri)
        assert len(remote) == len(local) == 9
        for index in range(9):
            for ours, theirs in zip(
                remote.pyramid(index, [4, 8]), local.pyramid(index, [4, 8]), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)
    assert len(open_source(f"tfrecord:{url}/out").held_out) == 3
    kept = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any("tfrecords" in name for name in kept)


def test_an_unfinished_preparation_is_not_taken_for_whole(url):
    Storage("", f"{url}/out").delete("dataset.json")
    with pytest.raises(DataError, match=f"--data=tfrecord:{url}/out: .*not finished"):
        open_source(f"tfrecord:{url}/out")


def test_a_file_of_another_length(url, tmp_path):
    name = "train-r03.tfrecords.001"
    path = tmp_path / "there/out" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{name} has"):
        open_source(f"tfrecord:{url}/out")


def test_records_of_different_lengths_are_indexed_one_by_one(url, tmp_path):
    records = [b"1", b"333", b"22", b"333"]
    framed = [len(r).to_bytes(8, "little") + b"-crc" + r + b"-crc" for r in records]
    (tmp_path / "there/x").write_bytes(b"".join(framed))
    storage = Storage("", url)
    remote = ranges.RemoteFile(storage, "x", storage.list()["x"])
    assert list(RecordFiles([remote])) == records


def test_a_record_of_another_length_among_equal_ones(url, tmp_path):
    framed = [n.to_bytes(8, "little") + b"-crc" + b"x" * 9 + b"-crc" for n in (9, 8, 9)]
    (tmp_path / "there/x").write_bytes(b"".join(framed))
    storage = Storage("", url)
    records = RecordFiles([ranges.RemoteFile(storage, "x", storage.list()["x"])])
    assert records[0] == records[2] == b"x" * 9
    with pytest.raises(DataError, match="record 1"):
        records[1]


def test_a_folder_of_images_is_downloaded(prepared, url):
    local = open_source(f"folder:{prepared}/photos?test=0.3")
    data.check(f"folder:{url}/photos?test=0.3")
    remote = open_source(f"folder:{url}/photos?test=0.3")
    assert remote.files == local.files and len(remote.held_out) == len(local.held_out)
    np.testing.assert_array_equal(remote.image(0), local.image(0))


def test_the_wrong_kind_of_data_leaves_the_images_of_another_command(url):
    source = open_source(f"folder:{url}/photos")
    with pytest.raises(DataError):
        open_source(f"tfrecord:{url}/photos")
    assert source.image(0).shape == (9, 8, 3) and not source.skipped


def test_uris_of_storage_that_is_wrong(url, tmp_path):
    for uri in (f"folder:{url}/none", f"tfrecord:{url}/no/none", f"idx:{url}/none"):
        with pytest.raises(DataError, match=f"--data={uri}: .*holds no file"):
            data.check(uri)
    with pytest.raises(DataError, match="--data=folder:nowhere://x: "):
        data.check("folder:nowhere://x")
    assert data.absolute(f"folder:{url}?test=0.1", "/start") == f"folder:{url}?test=0.1"
