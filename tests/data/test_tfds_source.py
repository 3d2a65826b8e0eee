"""Record files, and tfds: on small sets written here."""

import re
import socket
import struct
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import downloader

from alae_tf.data import DataError, open_source
from alae_tf.data.records import RecordFiles, count_records
from alae_tf.latents import labels
from tests.paths import ROOT

RECORDS = [b"first", b"", b"third record", b"x" * 1000]


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def test_records_by_index_across_files(tmp_path):
    paths = [
        write(tmp_path / "a", RECORDS[:3]),
        write(tmp_path / "b", []),
        write(tmp_path / "c", RECORDS[3:]),
    ]
    records = RecordFiles(paths)
    assert len(records) == 4
    assert [records[index] for index in (3, 0, 2, 1)] == [RECORDS[index] for index in (3, 0, 2, 1)]
    assert list(records) == RECORDS
    with pytest.raises(IndexError):
        records[-1]


@pytest.mark.parametrize("lost", [1, 1010, 1020, 1030])  # in footer, data, header, record before
def test_torn_record_files(tmp_path, lost):
    path = write(tmp_path / "torn.tfrecord", RECORDS)
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        file.truncate(size - lost)
    number = 2 if lost > 1016 else 3  # the last record takes 12 + 1000 + 4 bytes
    with pytest.raises(DataError, match=f"torn.tfrecord: record {number} "):
        RecordFiles([path])


def test_what_is_not_a_record_file(tmp_path):
    for length in (2**60, 2**63 - 1, 2**64 - 1):
        (tmp_path / "text").write_bytes(struct.pack("<Q", length) + b"not a record file")
        for read in (lambda path: RecordFiles([path]), count_records):
            with pytest.raises(DataError, match=f"{tmp_path}/text: record 0 "):
                read(tmp_path / "text")
    with pytest.raises(DataError, match=f"{tmp_path}/none: "):
        RecordFiles([tmp_path / "none"])
    with pytest.raises(DataError, match=f"{tmp_path}/empty: "):
        RecordFiles([write(tmp_path / "empty", [])])


def test_a_file_cut_after_opening(tmp_path):
    path = write(tmp_path / "a", RECORDS)
    records = RecordFiles([path])
    with open(path, "r+b") as file:
        file.truncate(50)
    assert records[0] == b"first"
    with pytest.raises(DataError, match=f"{tmp_path}/a: record 3 "):
        records[3]


IMAGE = tfds.features.Image(shape=(6, 8, 3))
LABEL = tfds.features.ClassLabel(num_classes=3)


def examples(count):
    images = [np.full([6, 8, 3], 10 * k, np.uint8) for k in range(count)]
    return [(k, {"image": image, "label": k % 3}) for k, image in enumerate(images)]


def store(data_dir, features, splits, file_format="tfrecord"):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets=splits,
        data_dir=data_dir,
        file_format=file_format,
        disable_shuffling=True,
    )
    return f"tfds:tiny?data_dir={data_dir}"


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_at_random_access(tmp_path, file_format):
    splits = {"train": examples(5), "test": examples(2), "validation": examples(1)}
    source = open_source(store(tmp_path, {"image": IMAGE, "label": LABEL}, splits, file_format))
    assert len(source) == 5 and source.channels == 3
    assert [source.image(index)[5, 7, 1] for index in (4, 0, 2)] == [40, 0, 20]
    assert source.image(0).shape == (6, 8, 3)
    assert source.labels.tolist() == [0, 1, 2, 0, 1] and source.labels.dtype == np.int64
    assert len(source.held_out) == 2


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_tfds_parts_of_splits(tmp_path, file_format):
    splits = {"train": examples(10), "test": examples(3), "validation": examples(2)}
    store(tmp_path, {"image": IMAGE, "label": LABEL}, splits, file_format)

    def opened(split):
        source = open_source(f"tfds:tiny?split={split}&data_dir={tmp_path}")
        values = [int(source.image(index)[0, 0, 0]) // 10 for index in range(len(source))]
        held_out = 0 if source.held_out is None else len(source.held_out)
        return values, source.labels.tolist(), held_out

    assert opened("train[:30%]") == ([0, 1, 2], [0, 1, 2], 3)
    assert opened("train[-2:]") == ([8, 9], [2, 0], 3)
    assert opened("train[:1]+train[4:6]") == ([0, 4, 5], [0, 1, 2], 3)
    assert opened("test[1:]") == ([1, 2], [1, 2], 2)  # validation
    assert opened("test+validation") == ([0, 1, 2, 0, 1], [0, 1, 2, 0, 1], 0)
    for split in ("tset", "train[:10", "train[:0%]", "train[1:2:3]", "train[:200%]"):
        with pytest.raises(DataError, match=rf"^--data=tfds:tiny.*'{re.escape(split)}"):
            opened(split)


def test_tfds_names_of_classes(tmp_path):
    names = tfds.features.ClassLabel(names=["cat", "dog", "owl"])
    store(tmp_path, {"image": IMAGE, "label": names}, {"train": examples(5), "test": examples(2)})
    source = open_source(f"tfds:tiny?data_dir={tmp_path}")
    assert source.class_names == source.held_out.class_names == ["cat", "dog", "owl"]
    columns = labels.of(source, "classes")
    assert columns["dog"].tolist() == [0, 1, 0, 0, 1] and list(columns) == ["cat", "dog", "owl"]


def test_tfds_labels_that_are_hidden(tmp_path, capsys):
    hidden = [(0, {"image": np.zeros([6, 8, 3], np.uint8), "label": -1})]
    store(tmp_path, {"image": IMAGE, "label": LABEL}, {"train": examples(5), "test": hidden})
    source = open_source(f"tfds:tiny?data_dir={tmp_path}")
    assert len(source.labels) == 5
    assert source.held_out.labels is None and "1 of 1 labels" in capsys.readouterr().err


def test_the_set_in_the_documentation(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    for k in range(10):
        folder = tmp_path / "photos" / ("cat", "dog")[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + k, 8), (k, k, k)).save(folder / f"{k}.png")
    exec(code, {})
    source = open_source("tfds:pets?split=train[:90%]&data_dir=sets")
    assert len(source) == 9 and source.class_names == ["cat", "dog"]
    found = {int(source.image(i)[0, 0, 0]): int(source.labels[i]) for i in range(9)}
    assert all(label == value % 2 for value, label in found.items()) and len(found) == 9


def test_attributes_of_tfds_sets(tmp_path):
    features = {"image": IMAGE, "attributes": {"Smiling": np.bool_, "yaw": np.float32}}
    rows = [
        (
            k,
            {
                "image": np.zeros([6, 8, 3], np.uint8),
                "attributes": {"Smiling": k > 1, "yaw": k / 4},
            },
        )
        for k in range(4)
    ]
    uri = store(tmp_path, features, {"train": rows})
    source = open_source(uri)
    assert source.values("attributes/yaw").tolist() == [0, 0.25, 0.5, 0.75]
    columns = labels.of(source, "attribute:attributes/Smiling,attributes/yaw")
    assert {name: list(values) for name, values in columns.items()} == {
        "Smiling": [0, 0, 1, 1],
        "yaw": [0, 0.25, 0.5, 0.75],
    }
    with pytest.raises(DataError, match="'Young'.* attributes/Smiling, attributes"):
        source.values("Young")


def test_tfds_in_the_directory_of_the_environment(tmp_path, monkeypatch):
    grey = tfds.features.Image(shape=(None, None, 1))
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    store(tmp_path, {"picture": grey}, {"train": [(0, {"picture": image})]})
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    source = open_source("tfds:tiny:1.0.0")
    assert source.channels == 1 and source.labels is None and source.held_out is None
    assert np.array_equal(source.image(0), image)


def test_tfds_set_with_torn_or_missing_records(tmp_path):
    uri = store(tmp_path, {"image": IMAGE, "label": LABEL}, {"train": examples(5)})
    path = next(tmp_path.glob("tiny/1.0.0/*.tfrecord*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=f"--data=tfds:tiny.*{path.name}: record 4 "):
        open_source(uri)
    first = 12 + struct.unpack_from("<Q", whole)[0] + 4
    path.write_bytes(whole[first:])
    with pytest.raises(DataError, match="'train' has 4 records instead of 5"):
        open_source(uri)


def test_tfds_sets_that_do_not_fit(tmp_path):
    uri = store(tmp_path / "a", {"label": LABEL}, {"train": [(0, {"label": 1})]})
    with pytest.raises(DataError, match="--data=tfds:tiny.* label"):
        open_source(uri)
    example = (0, {"image": np.zeros([6, 8, 3], np.uint8), "label": 1})
    uri = store(tmp_path / "b", {"image": IMAGE, "label": LABEL}, {"other": [example]})
    with pytest.raises(DataError, match=r"'train'.* other.* \?split=other"):
        open_source(uri)
    assert len(open_source(f"tfds:tiny?split=other&data_dir={tmp_path / 'b'}")) == 1
    depth = tfds.features.Image(shape=(2, 2, 1), dtype=np.float32)
    example = (0, {"depth": np.zeros([2, 2, 1], np.float32)})
    uri = store(tmp_path / "c", {"depth": depth}, {"train": [example]})
    with pytest.raises(DataError, match="'depth' .*float32"):
        open_source(uri)


class Unreachable(tfds.core.GeneratorBasedBuilder):
    """A set whose preparation fails, as without a network."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"image": IMAGE})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        raise ConnectionError("host not found.\nmore lines")

    def _generate_examples(self):
        yield from ()


def test_tfds_that_cannot_be_prepared(tmp_path):
    with pytest.raises(DataError) as error:
        open_source(f"tfds:unreachable?data_dir={tmp_path}")
    message = str(error.value)
    assert str(tmp_path) in message and "(ConnectionError: host not found)" in message
    assert "tfds build unreachable" in message and "more lines" not in message


def test_tfds_without_a_network_gives_up_soon_with_one_line(tmp_path, capfd, monkeypatch):
    """The real mnist; a name server that knows nothing stands for no network."""

    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert downloader.MAX_RETRIES == 10  # the private setting is still there
    begun = time.monotonic()
    with pytest.raises(DataError) as error:
        open_source(f"tfds:mnist?data_dir={tmp_path}")
    assert time.monotonic() - begun < 100  # 210 s with TFDS' own number of tries
    assert f"{tmp_path}/mnist/3.0.1 (storage.googleapis.com " in str(error.value)
    said = capfd.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"tfds:mnist?data_dir={tmp_path}: not in {tmp_path}/mnist/3.0.1; ")
    assert downloader.MAX_RETRIES == 10


def test_tfds_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="--data=tfds:nosuchset"):
        open_source(f"tfds:nosuchset?data_dir={tmp_path}")


def test_tfds_without_a_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "~")  # what expanding gives if the system does not know the user
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr(tfds, "builder", lambda *_, **__: pytest.fail("would make a folder ~"))
    with pytest.raises(DataError, match="--data=tfds:mnist: .*data_dir="):
        open_source("tfds:mnist")
