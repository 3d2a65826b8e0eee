"""tfrecord:DIR, on files laid out as StyleGAN's and the authors' tools write them."""

import gzip
import io
import os
import struct

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.data import DataError, all_images, open_source
from alae_tf.data.records import RecordFiles, count_records
from alae_tf.data.tfrecord_format import from_record, to_record
from alae_tf.images.fit import fit


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum, bit by bit, masked as TFRecord files have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(*records: bytes) -> bytes:
    """A TFRecord file, byte for byte."""
    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, struct.pack("<I", crc32c(length)), record]
        parts += [struct.pack("<I", crc32c(record))]
    return b"".join(parts)


# tf.train.Example of shape [1, 4, 4] and data 0 … 15 on the wire, `shape` first as TensorFlow 1
# wrote it: field number and kind, length, content.
DATA = bytes(range(16))
SHAPE_ENTRY = b"\x0a\x05shape" + b"\x12\x07" + b"\x1a\x05" + b"\x0a\x03\x01\x04\x04"
DATA_ENTRY = b"\x0a\x04data" + b"\x12\x14" + b"\x0a\x12" + b"\x0a\x10" + DATA
EXAMPLE = (
    b"\x0a\x30" + b"\x0a\x10" + SHAPE_ENTRY + b"\x0a\x1c" + DATA_ENTRY
)  # 0x30 = 2 + 0x10 + 2 + 0x1c


def image(number: int, side: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng([number, side]).integers(
        0, 256, [side, side, channels], dtype=np.uint8
    )


def example(**features) -> bytes:
    kinds = {}
    for name, value in features.items():
        if isinstance(value, bytes):
            kinds[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        else:
            kinds[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    return tf.train.Example(features=tf.train.Features(feature=kinds)).SerializeToString()


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def write_set(directory, prefix, counts, sides=(4, 8), channels=3):
    """As the authors' tool: parts of `counts` images, numbered on."""
    starts = np.cumsum([0, *counts]).tolist()
    for part, (start, stop) in enumerate(zip(starts, starts[1:], strict=False)):
        for side in sides:
            name = f"{prefix}-r{side.bit_length() - 1:02}.tfrecords.{part:03}"
            images = [image(k, side, channels) for k in range(start, stop)]
            write(directory / name, [to_record(pixels) for pixels in images])


def error_of(uri):
    with pytest.raises(DataError) as error:
        all_images(open_source(uri), 4)
    assert str(error.value).startswith(f"--data={uri}: ")
    return str(error.value)


def test_a_file_byte_for_byte(tmp_path):
    assert crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) % 2**32
    (tmp_path / "digits-r02.tfrecords").write_bytes(framed(EXAMPLE, EXAMPLE[:-1] + b"\xff"))
    source = open_source(f"tfrecord:{tmp_path}")
    assert len(source) == 2 and source.channels == 1
    assert source.labels is None and source.held_out is None
    expected = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    assert np.array_equal(source.image(0), expected)
    assert source.image(1)[3, 3] == 255


def test_what_we_write_is_that_record_and_tensorflow_agrees_on_the_file(tmp_path):
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    same = b"\x0a\x30" + b"\x0a\x1c" + DATA_ENTRY + b"\x0a\x10" + SHAPE_ENTRY  # keys sorted
    assert to_record(pixels) == same
    write(tmp_path / "ours", [same])
    assert (tmp_path / "ours").read_bytes() == framed(same)


def test_colours_are_stored_one_after_the_other():
    pixels = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
    values = from_record(
        example(shape=[3, 2, 2], data=bytes([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]))
    )
    assert np.array_equal(values, pixels) and np.array_equal(from_record(to_record(pixels)), pixels)


def test_stylegan_s_layout(tmp_path):
    """One file a resolution, all of them in one directory with a file of labels beside."""
    for side in (4, 8, 16):
        records = [to_record(image(k, side)) for k in range(5)]
        write(tmp_path / f"ffhq-r{side.bit_length() - 1:02}.tfrecords", records)
    (tmp_path / "ffhq-rxx.labels").write_bytes(b"")
    source = open_source(f"tfrecord:{tmp_path}")
    assert len(source) == 5 and source.resolutions == [4, 8, 16]
    for side in (4, 8, 16):
        assert np.array_equal(source.fitted(3, side), image(3, side))
    assert np.array_equal(source.image(3), image(3, 16))
    assert np.array_equal(source.fitted(3, 32), fit(image(3, 16), 32))


def test_the_authors_layout_in_parts(tmp_path):
    write_set(tmp_path, "celeba", [2, 0, 3], sides=(8, 32))
    for uri in (f"tfrecord:{tmp_path}", f"tfrecord:{tmp_path}/celeba"):
        source = open_source(uri)
        assert np.array_equal(all_images(source, 8), [image(k, 8) for k in range(5)])
        assert np.array_equal(source.fitted(4, 16), fit(image(4, 32), 16))  # from the next larger


def test_labels_of_the_authors_digits(tmp_path):
    records = [example(shape=[1, 4, 4], data=DATA, label=[k]) for k in (7, 2)]
    write(tmp_path / "mnist-r02.tfrecords.000", records)
    labels = open_source(f"tfrecord:{tmp_path}").labels
    assert labels.tolist() == [7, 2] and labels.dtype == np.int64


def test_train_and_test_go_together_other_sets_must_be_chosen(tmp_path):
    write_set(tmp_path, "train", [3])
    write_set(tmp_path, "test", [2])
    source = open_source(f"tfrecord:{tmp_path}")
    assert len(source) == 3 and len(source.held_out) == 2
    assert open_source(f"tfrecord:{tmp_path}/train").held_out is None
    write_set(tmp_path, "more", [2])
    message = error_of(f"tfrecord:{tmp_path}")
    assert f"--data=tfrecord:{tmp_path}/more or" in message
    assert "more, test, train" in error_of(f"tfrecord:{tmp_path}/mre")


def test_where_no_such_files_are(tmp_path):
    (tmp_path / "a.png").touch()
    for uri in (f"tfrecord:{tmp_path}", f"tfrecord:{tmp_path}/none/ffhq"):
        assert "-rNN.tfrecords[.PPP]" in error_of(uri) and "alae_tf.prepare" in error_of(uri)


def test_a_path_with_records_suggests_tfrecord(tmp_path):
    write_set(tmp_path, "x", [1])
    with pytest.raises(DataError, match=f" tfrecord:{tmp_path}"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    "record, parts",
    [
        (b"\xff\xff\xff", ["tf.train.Example"]),
        (b"", ["'shape'"]),
        (example(shape=[3, 4, 4], image=b"x"), ["'data'", "image, shape"]),
        (
            example(shape=[3, 4, 4], data=b"x" * 47),
            ["47 bytes", "[3, 4, 4]"],
        ),
        (example(shape=[4, 4], data=DATA), ["[4, 4]"]),
        (example(shape=[2, 4, 4], data=DATA * 2), ["[2, 4, 4]"]),
        (example(shape=[3, 2, 8], data=DATA * 3), ["[2, 8, 3] instead of [4, 4, 3]"]),
        (example(shape=[1, 4, 4], data=DATA), ["[4, 4, 1] instead of [4, 4, 3]"]),
    ],
    ids=range(8),  # protos are written in no fixed order
)
def test_records_that_are_not_right(tmp_path, record, parts):
    write(tmp_path / "x-r02.tfrecords.000", [to_record(image(0, 4))] * 2)
    write(tmp_path / "x-r02.tfrecords.001", [to_record(image(0, 4)), record])
    message = error_of(f"tfrecord:{tmp_path}")
    parts = ["x-r02.tfrecords.001: record 1 ", *parts]
    assert all(part in message for part in parts), message


def test_a_resolution_of_another_file_name(tmp_path):
    write(tmp_path / "x-r03.tfrecords", [to_record(image(0, 4))])
    assert "x-r03.tfrecords: record 0 " in error_of(f"tfrecord:{tmp_path}")


@pytest.mark.parametrize("lost", [1, 20])
def test_a_torn_file(tmp_path, lost):
    write_set(tmp_path, "x", [3, 2])
    torn = tmp_path / "x-r03.tfrecords.001"
    torn.write_bytes(torn.read_bytes()[:-lost])
    assert "x-r03.tfrecords.001: record 1 " in error_of(f"tfrecord:{tmp_path}")


def test_counts_that_differ(tmp_path):
    write_set(tmp_path, "x", [3, 2])
    one = tmp_path / "x-r03.tfrecords.001"
    one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    assert "5 at 4 px, 4 at 8 px" in error_of(f"tfrecord:{tmp_path}")
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert "x-r02.tfrecords.000" in error_of(f"tfrecord:{tmp_path}")


def test_parts_that_are_missing_or_too_many(tmp_path):
    write_set(tmp_path, "x", [1, 1, 1])
    (tmp_path / "x-r02.tfrecords.001").unlink()
    message = error_of(f"tfrecord:{tmp_path}")
    assert "4 px" in message and "x-r02.tfrecords.002" in message
    write_set(tmp_path, "x", [1, 1, 1])
    write(tmp_path / "x-r02.tfrecords", [to_record(image(0, 4))])
    assert "x-r02.tfrecords, x-r02.tfrecords.000" in error_of(f"tfrecord:{tmp_path}")


def test_records_of_different_lengths_are_counted_too(tmp_path):
    long = example(shape=[1, 4, 4], data=DATA, name=b"a name")
    write(tmp_path / "x-r02.tfrecords", [to_record(image(0, 4, 1)), long, long])
    assert count_records(tmp_path / "x-r02.tfrecords") == 3
    assert len(open_source(f"tfrecord:{tmp_path}")) == 3


def test_a_pipe_among_the_files_is_ignored(tmp_path):
    os.mkfifo(tmp_path / "a-r02.tfrecords")  # opening it would wait forever
    assert "-rNN.tfrecords" in error_of(f"tfrecord:{tmp_path}")


def compress(directory, name="*"):
    for path in directory.glob(name):
        path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def test_compressed_files_are_read(tmp_path):
    write_set(tmp_path, "celeba", [2, 3])
    compress(tmp_path, "*.001")  # some of the files, as TensorFlow's option GZIP writes them
    source = open_source(f"tfrecord:{tmp_path}")
    for side in (4, 8):
        assert np.array_equal(all_images(source, side), [image(k, side) for k in range(5)])
    for path in sorted(tmp_path.glob("*.001")):
        path.rename(path.with_name(f"{path.name}.gz"))
    assert np.array_equal(open_source(f"tfrecord:{tmp_path}").image(4), image(4, 8))


def test_a_length_with_the_magic_bytes_of_gzip_is_not_compression(tmp_path):
    long = bytes(0x00088B1F)
    (tmp_path / "x").write_bytes(framed(long, b"short"))
    records = RecordFiles([tmp_path / "x"])
    assert len(records) == count_records(tmp_path / "x") == 2 and records[1] == b"short"


def test_only_compressed_files_need_a_place_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: pytest.fail("used"))
    (tmp_path / "x").write_bytes(framed(b"a"))
    assert list(RecordFiles([tmp_path / "x"])) == [b"a"]


@pytest.mark.parametrize("damage", ["cut", "within", "flipped"])
def test_damaged_compressed_files(tmp_path, damage):
    write_set(tmp_path, "x", [3])
    path = tmp_path / "x-r03.tfrecords.000"
    data = path.read_bytes()
    if damage == "within":  # a whole stream of a torn file
        path.write_bytes(gzip.compress(data[:-20]))
    else:
        packed = gzip.compress(data)
        middle = bytes([packed[300] ^ 255])
        path.write_bytes(packed[:-9] if damage == "cut" else packed[:300] + middle + packed[301:])
    assert "x-r03.tfrecords.000" in error_of(f"tfrecord:{tmp_path}")


def save_labels(directory, labels, prefix="x"):
    file = io.BytesIO()
    np.save(file, labels)
    (directory / f"{prefix}-rxx.labels").write_bytes(file.getvalue())


def test_stylegan_s_labels(tmp_path, capsys):
    write_set(tmp_path, "x", [3])
    uri = f"tfrecord:{tmp_path}"
    for labels in (np.eye(4, dtype=np.float32)[[2, 0, 3]], np.array([2, 0, 3], np.uint8)):
        save_labels(tmp_path, labels)
        read = open_source(uri).labels
        assert read.tolist() == [2, 0, 3] and read.dtype == np.int64
    assert capsys.readouterr().err == ""
    for labels in (np.ones([3, 4]), np.zeros([3, 0]), np.array([0, 1, 0.5]), np.zeros([3, 4])):
        save_labels(tmp_path, labels)  # of attributes, of none, of something else
        assert open_source(uri).labels is None
        assert "x-rxx.labels" in capsys.readouterr().err
    save_labels(tmp_path, np.eye(4))
    with pytest.raises(DataError, match="x-rxx.labels"):
        open_source(uri).labels  # noqa: B018
    (tmp_path / "x-rxx.labels").write_bytes(b"no array")
    with pytest.raises(DataError, match="x-rxx.labels"):
        open_source(uri).labels  # noqa: B018


@pytest.mark.parametrize("train", ["celeba", "celeba-train"])
def test_a_set_named_test_is_held_out_from_the_other(tmp_path, train):
    write_set(tmp_path, train, [3])
    write_set(tmp_path, "celeba-test", [2])
    source = open_source(f"tfrecord:{tmp_path}")
    assert len(source) == 3 and len(source.held_out) == 2
    assert len(open_source(f"tfrecord:{tmp_path}/celeba-test")) == 2
    write_set(tmp_path, "ffhq", [1])
    assert f"--data=tfrecord:{tmp_path}/ffhq" in error_of(f"tfrecord:{tmp_path}")
