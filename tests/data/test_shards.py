import dataclasses
import json

import pytest

from alae_tf.config import ConfigError
from alae_tf.data.prepared import FILE, Plan, file_name
from alae_tf.data.shards import describe, divide, record_bytes

PLAN = Plan(
    data="mnist5k:", channels=1, max_resolution=32, test_fraction=None, train=10, test=0, shards=3
)


def test_shards_cover_the_images_in_order():
    shards = divide("train", 10, 3)
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 3), (3, 7), (7, 10)]
    assert [len(shard) for shard in shards] == [3, 4, 3]


def test_sizes_and_checksums(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert describe(path) == {"bytes": 3, "sha256": sha256}
    # From 128 on, each of the five lengths nested in a record takes one byte more.
    assert record_bytes(8, 3) - record_bytes(4, 3) == 3 * (64 - 16) + 5


def test_names_of_files():
    assert file_name("train", 128, 7) == "train-r07.tfrecords.007"
    match = FILE.fullmatch("ffhq-r10.tfrecords")
    assert (match["prefix"], match["log2"], match["part"]) == ("ffhq", "10", None)
    assert FILE.fullmatch("ffhq-r10.tfrecords.partial") is None


def test_a_plan_must_be_the_same(tmp_path):
    assert PLAN.resolutions == [4, 8, 16, 32]
    path = tmp_path / ".prepare" / "plan.json"
    path.parent.mkdir()
    path.write_text(json.dumps(dataclasses.asdict(PLAN)))
    PLAN.check_same(path)
    with pytest.raises(ConfigError, match="shards"):
        dataclasses.replace(PLAN, shards=4).check_same(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="plan.json"):
        PLAN.check_same(path)
