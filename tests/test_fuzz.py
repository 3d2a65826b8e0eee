"""Every reader of files returns a result or raises its documented error, for any bytes.

Hypothesis changes bytes of valid files, or generates bytes. Each call must end quickly and within
bounded memory, whatever sizes the bytes declare.
"""

import io
import resource
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alae_tf import align
from alae_tf.config import Config, ConfigError
from alae_tf.data import DataError, open_source
from alae_tf.features.pytorch_file import PytorchFileError, read_pytorch
from alae_tf.latents import LatentError, directions, labels
from alae_tf.runs import checkpoint
from alae_tf.system.errors import AlaeError, CheckpointError
from tests.paths import GOLDENS

SECONDS, MEGABYTES = 5.0, 600
EXAMPLES = 60
SLOW = 1500  # the same, for `make slow`


def idx(folder: Path, content: bytes):
    """MNIST's format."""
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    source = open_source(f"idx:{folder}")
    return [source.image(i) for i in range(min(3, len(source)))]


def tfrecord(folder: Path, content: bytes):
    (folder / "a-r02.tfrecords").write_bytes(content)
    source = open_source(f"tfrecord:{folder}")
    return [source.image(i) for i in range(min(3, len(source)))]


def file_reader(name, read):
    def reader(folder: Path, content: bytes):
        (folder / name).write_bytes(content)
        return read(folder / name)

    reader.__name__ = name
    return reader


def valid_idx() -> bytes:
    header = np.array([0x803, 2, 4, 4], ">u4").tobytes()
    return header + bytes(range(32))


def valid_tfrecord() -> bytes:
    pixels = np.zeros([1, 4, 4], np.uint8)
    features = {
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=pixels.shape)),
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels.tobytes()])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for _ in range(2):
                writer.write(example.SerializeToString())
        return Path(file.name).read_bytes()


def valid_checkpoint() -> bytes:
    file = io.BytesIO()
    state = b'{"images_seen": 8, "level": 0, "blend": 1.0}'
    np.savez(file, **{"ema/w": np.ones(3, np.float32), "state": np.frombuffer(state, np.uint8)})
    return file.getvalue()


def valid_directions() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        directions.write(path, [directions.Direction("a", np.eye(4, dtype=np.float32)[0])])
        return path.read_bytes()


ALIGNED = (
    b"file,yaw,pitch,roll,mouth,smile,photo,square,points\n"
    b'a.png,1,2,3,0.1,0.6,b.jpg,"1,2 1,4 3,4 3,2","1,2 3,4 5,6 7,8 9,9"\n'
)
READERS = {
    "idx": (idx, valid_idx, DataError),
    "tfrecord": (tfrecord, valid_tfrecord, DataError),
    "pth_zip": (
        file_reader("a.pth", read_pytorch),
        lambda: (GOLDENS / "official_style32_zip.pth").read_bytes(),
        PytorchFileError,
    ),
    "pth_legacy": (
        file_reader("a.pth", read_pytorch),
        lambda: (GOLDENS / "official_style32_legacy.pth").read_bytes(),
        PytorchFileError,
    ),
    "checkpoint": (
        file_reader("a.npz", checkpoint.read),
        valid_checkpoint,
        CheckpointError,
    ),
    "flagfile": (
        file_reader("a.cfg", Config.load),
        lambda: Config(levels=3).to_flagfile().encode(),
        ConfigError,
    ),
    "directions": (
        file_reader("a.json", lambda path: directions.read(path, 4)),
        valid_directions,
        LatentError,
    ),
    "labels": (
        file_reader("a.csv", lambda path: labels.read_csv(path, ["a.png", "b.png"])),
        lambda: b"file,smile,yaw\na.png,1,0.5\nb.png,0,-3\n",
        LatentError,
    ),
    "align": (file_reader("a.csv", align.read_table), lambda: ALIGNED, align.AlignError),
}


@st.composite
def changed(draw, whole: bytes) -> bytes:
    """A valid file truncated, with bytes changed or with bytes repeated; or random bytes."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=300))
    content = bytearray(whole[: draw(st.integers(0, len(whole)))] if kind == 1 else whole)
    for _ in range(draw(st.integers(1, 6))):
        if not content:
            break
        # Prefers headers, which matter more.
        place = draw(st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1))
        if kind == 3:
            size = draw(st.integers(1, 40))
            content[place:place] = content[place : place + size]
        else:
            content[place] = draw(st.integers(0, 255))
    return bytes(content)


def fuzz(name: str, folder: Path, examples: int) -> None:
    read, valid, promised = READERS[name]
    whole = valid()
    read(_fresh(folder, "valid"), whole)  # the unchanged file is readable
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(changed(whole))
    def any_bytes(content):
        begun = time.process_time()
        try:
            read(_fresh(folder, "changed"), content)
        except promised as error:
            assert isinstance(error, AlaeError) and str(error)
        assert time.process_time() - begun < SECONDS

    any_bytes()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEGABYTES * 1024


def _fresh(folder: Path, name: str) -> Path:
    """An empty folder."""
    path = folder / name
    path.mkdir(exist_ok=True)
    for file in path.iterdir():
        file.unlink()
    return path


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_bytes_give_a_result_or_the_documented_error(name, tmp_path, capsys):
    fuzz(name, tmp_path, EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_many_more_bytes(name, tmp_path, capsys):
    fuzz(name, tmp_path, SLOW)


def test_a_zip_within_a_zip_is_no_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("state.npy", b"\0" * 10**7)
    with pytest.raises(CheckpointError, match="a.npz"):
        checkpoint.read(tmp_path / "a.npz")
