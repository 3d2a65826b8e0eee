"""Preparing: the same images as from the source, kills, damage, bad input."""

import contextlib
import errno
import fcntl
import io
import json
import os
import resource
import signal
import time

import numpy as np
import pytest
from PIL import Image

from alae_tf import data, prepare
from alae_tf.data import Source, batches, open_source, preparing
from alae_tf.data.arrays import ArraySource
from alae_tf.training.interrupt import Interrupt
from tests.helpers.prepared import contents


def run(out, *flags, uri="numbered:", resolution=16):
    """Exit code and what was printed."""
    text = io.StringIO()
    arguments = [f"--data={uri}", f"--out={out}", f"--max_resolution={resolution}", *flags]
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            code = prepare.main(arguments)
        except SystemExit as end:  # argparse
            code = end.code
    return code, text.getvalue()


def numbered(size, held_out=0):
    """Random digits with labels; a source in memory, of images that are not square."""
    draw = np.random.default_rng(size)
    images = draw.integers(0, 256, [size, 20, 24], dtype=np.uint8)
    test = numbered(held_out) if held_out else None
    return ArraySource("numbered:", images, draw.integers(0, 10, size), test)


@pytest.fixture
def source(monkeypatch):
    """The source that `run` prepares: 50 images and 7 held out, unless a test changes it."""
    held = {"source": numbered(50, held_out=7)}
    monkeypatch.setattr(data, "open_source", lambda uri: held["source"])
    return held


@pytest.fixture
def folder(tmp_path):
    """30 photographs of different sizes, one of them damaged."""
    root = tmp_path / "photos"
    root.mkdir()
    for k in range(30):
        pixels = np.random.default_rng(k).integers(0, 256, [40 + k, 70 - k, 3], dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{k:02}.png")
    (root / "07.png").write_bytes((root / "07.png").read_bytes()[:100])
    return root


def same_batches(a, b, resolution):
    for first, second in zip(
        *(batches(s, resolution, 8, seed=3, flip=True).take(9).as_numpy_iterator() for s in (a, b)),
        strict=True,
    ):
        assert np.array_equal(first, second)


def test_digits_give_the_same_batches_as_their_source(tmp_path, source):
    code, text = run(tmp_path / "out", "--shards=3")
    assert code == 0, text
    assert all(number in text for number in ("50 ", "7 ", "4, 8, 16 px", "12 files")), text
    prepared = open_source(f"tfrecord:{tmp_path}/out")
    for ours, theirs in [
        (prepared, source["source"]),
        (prepared.held_out, source["source"].held_out),
    ]:
        assert ours.channels == 1 and len(ours) == len(theirs)
        assert ours.labels.tolist() == theirs.labels.tolist() and ours.labels.dtype == np.int64
        for resolution in (4, 8, 16):
            same_batches(ours, theirs, resolution)


def test_photographs_give_the_same_batches_as_their_folder(tmp_path, folder, capsys):
    uri = f"folder:{folder}"
    code, text = run(tmp_path / "out", uri=uri, resolution=64)
    assert code == 0 and "07.png" in text
    prepared, theirs = open_source(f"tfrecord:{tmp_path}/out"), open_source(uri)
    assert len(prepared) == 29 and prepared.held_out is None and prepared.labels is None
    assert prepared.resolutions == [4, 8, 16, 32, 64]
    for resolution in (4, 32, 64):
        same_batches(prepared, theirs, resolution)
    # Prepared again from the prepared, all levels are the very same.
    code, text = run(tmp_path / "again", uri=f"tfrecord:{tmp_path}/out", resolution=64)
    first, second = contents(tmp_path / "out"), contents(tmp_path / "again")
    names = [name for name in first if name.startswith("train-")]
    assert code == 0 and names and all(first[name] == second[name] for name in names)


def test_dataset_json(tmp_path, source):
    run(tmp_path, "--shards=2")
    manifest = json.loads((tmp_path / "dataset.json").read_text())
    assert manifest["data"] == "numbered:" and manifest["max_resolution"] == 16
    assert manifest["channels"] == 1 and manifest["test_fraction"] is None
    train, test = manifest["parts"]["train"], manifest["parts"]["test"]
    assert train["images"] == 50 and test["images"] == 7
    assert sorted(train["files"]) == [
        f"train-r{log2:02}.tfrecords.{part:03}" for log2 in (2, 3, 4) for part in (0, 1)
    ]
    assert list(test["files"]) == [f"test-r{log2:02}.tfrecords.000" for log2 in (2, 3, 4)]
    entry = train["files"]["train-r04.tfrecords.001"]
    size = (tmp_path / "train-r04.tfrecords.001").stat().st_size
    assert entry["images"] == 25 and entry["bytes"] == size > 25 * 256
    assert len(entry["sha256"]) == len(train["labels"]["sha256"]) == 64
    assert np.load(tmp_path / train["labels"]["file"]).tolist() == list(
        open_source(f"tfrecord:{tmp_path}").labels
    )


def test_a_fraction_is_held_out_at_even_distances(tmp_path, source):
    source["source"] = numbered(50)
    assert run(tmp_path / "a", "--test_fraction=0.1")[0] == 0
    prepared, theirs = open_source(f"tfrecord:{tmp_path}/a"), source["source"]
    held = [5, 15, 25, 35, 45]
    assert prepared.held_out.labels.tolist() == theirs.labels[held].tolist()
    assert [prepared.held_out.fitted(k, 8).tolist() for k in range(5)] == [
        theirs.fitted(k, 8).tolist() for k in held
    ]
    assert np.array_equal(prepared.fitted(5, 16), theirs.fitted(6, 16)) and len(prepared) == 45
    source["source"] = numbered(50, held_out=7)
    assert run(tmp_path / "b", "--test_fraction=0")[0] == 0
    assert open_source(f"tfrecord:{tmp_path}/b").held_out is None
    code, text = run(tmp_path / "c", "--test_fraction=0.1")
    assert code == 2 and "--test_fraction=0.1: " in text
    source["source"] = numbered(4)
    code, text = run(tmp_path / "c", "--test_fraction=0.1")
    assert code == 2 and "--test_fraction=0.1: " in text and not (tmp_path / "c").exists()


def test_a_finished_directory_is_verified_and_only_damage_repaired(tmp_path, source):
    run(tmp_path)
    whole = contents(tmp_path)
    code, text = run(tmp_path)
    assert code == 0, text
    damaged = tmp_path / "train-r03.tfrecords.001"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    (tmp_path / "test-r02.tfrecords.000").unlink()
    (tmp_path / "test-labels.npy").write_bytes(b"")
    untouched = (tmp_path / "train-r02.tfrecords.001").stat().st_mtime_ns
    code, text = run(tmp_path)
    assert code == 0
    assert "test-r02.tfrecords.000, train-r03.tfrecords.001" in text
    assert contents(tmp_path) == whole
    assert (tmp_path / "train-r02.tfrecords.001").stat().st_mtime_ns == untouched


def test_images_that_changed_since_do_not_go_in(tmp_path, source):
    run(tmp_path)
    name = "train-r03.tfrecords.001"
    (tmp_path / name).unlink()
    source["source"].images = source["source"].images // 2
    code, text = run(tmp_path)
    assert code == 1 and name in text
    assert not (tmp_path / name).exists()


def test_a_torn_note_costs_only_its_shard(tmp_path, source):
    run(tmp_path)
    whole = contents(tmp_path)
    note = tmp_path / ".prepare" / "train-000.json"
    torn = ['{"train-r02', "[]", "{}", '{"train-r02.tfrecords.000": 3}', "[" * 10**5]
    torn += [note.read_text().replace('"bytes"', '"size"')]
    for text in torn:
        note.write_text(text)
        assert run(tmp_path)[0] == 0 and contents(tmp_path) == whole


class Troubled(Source):
    """The images of a source, and something that happens at image 30."""

    def __init__(self, source, trouble):
        self.uri, self.channels, self.labels = source.uri, source.channels, source.labels
        self._source, self._trouble = source, trouble

    def __len__(self):
        return len(self._source)

    def image(self, index):
        if index == 30:
            self._trouble()
        return self._source.image(index)


class Known(Interrupt):
    """An interrupt that tests can look at."""

    newest: "Known"

    def __enter__(self):
        Known.newest = self
        return super().__enter__()


def kill(number):
    os.kill(os.getpid(), number)
    while not Known.newest.asked:
        time.sleep(0.01)


def unreadable():
    raise data.DataError("--data=numbered:: image 30 cannot be read.")


@pytest.mark.parametrize(
    "trouble, code, text",
    [
        (lambda: kill(signal.SIGTERM), 143, "SIGTERM"),
        (lambda: kill(signal.SIGINT), 130, "SIGINT"),
        (unreadable, 1, "--data=numbered:: image 30"),
    ],
)
def test_an_interruption_leaves_whole_shards_and_it_continues(
    tmp_path, source, trouble, code, text, monkeypatch
):
    monkeypatch.setattr(prepare, "Interrupt", Known)
    whole = numbered(50)
    source["source"] = Troubled(whole, trouble)
    got, printed = run(tmp_path / "out", "--shards=5")
    assert got == code and text in printed, printed
    assert f"--out={tmp_path}/out" in printed
    left = contents(tmp_path / "out")
    assert not any(name.startswith(".prepare/train-r") for name in left)
    assert "train-r02.tfrecords.003" not in left and "dataset.json" not in left
    with pytest.raises(data.DataError, match=f"tfrecord:{tmp_path}/out"):
        open_source(f"tfrecord:{tmp_path}/out")
    source["source"] = whole
    code, printed = run(tmp_path / "out", "--shards=5")
    assert code == 0, printed
    run(tmp_path / "undisturbed", "--shards=5")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_a_full_disk_is_reported_before_any_work(tmp_path, source, monkeypatch):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda path: free)
    code, text = run(tmp_path)
    assert code == 1 and f"--out={tmp_path}" in text
    assert not [name for name in contents(tmp_path) if "train" in name]


def test_a_disk_that_fills_up_on_the_way(tmp_path, source):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))  # a file of 16 px is larger
    try:
        code, text = run(tmp_path, "--shards=2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1 and f"--out={tmp_path}" in text and "Traceback" not in text, text
    assert not [name for name in contents(tmp_path) if "tfrecords" in name and "train" in name]
    assert run(tmp_path, "--shards=2")[0] == 0


@pytest.mark.parametrize(
    "flag",
    [
        "--max_resolution=48",
        "--max_resolution=2048",
        "--max_resolution=big",
        "--shards=0",
        "--shards=51",
        "--test_fraction=1",
        "--test_fraction=nan",
        "--data=lmdb:/x",
        "--data=folder:/nowhere",
    ],
)
def test_errors_name_the_flag_and_nothing_is_written(tmp_path, source, monkeypatch, flag):
    if "--data" in flag:
        monkeypatch.undo()
    code, text = run(tmp_path / "out", flag)
    assert code == 2 and flag.partition("=")[0] in text, text
    assert "Traceback" not in text and not (tmp_path / "out").exists()


def test_directories_that_cannot_be_used(tmp_path, source):
    (tmp_path / "file").touch()
    code, text = run(tmp_path / "file")
    assert code == 2 and f"--out={tmp_path}/file: " in text
    code, text = run(tmp_path)
    assert code == 2 and f"--out={tmp_path}: " in text
    code, text = run(tmp_path / "file" / "under")
    assert code == 2 and f"--out={tmp_path}/file/under: " in text
    assert run(tmp_path / "out", "--shards=2")[0] == 0
    code, text = run(tmp_path / "out", "--shards=3", resolution=8)
    assert code == 2 and f"--out={tmp_path}/out: " in text
    assert "max_resolution: 16" in text and "shards: 2" in text
    for damaged in ("{", "[" * 10**5, "[1]"):
        (tmp_path / "out" / ".prepare" / "plan.json").write_text(damaged)
        code, text = run(tmp_path / "out", "--shards=2")
        assert code == 2 and "plan.json" in text


def test_two_at_once(tmp_path, source):
    (tmp_path / ".prepare").mkdir()
    with open(tmp_path / ".prepare" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, text = run(tmp_path)
    assert code == 2 and f"--out={tmp_path}: " in text
    assert run(tmp_path)[0] == 0


def test_dataset_json_is_checked_at_opening(tmp_path, source):
    run(tmp_path, "--shards=2")
    name = tmp_path / "train-r03.tfrecords.001"
    data_ = name.read_bytes()
    uri = f"tfrecord:{tmp_path}"

    def error():
        with pytest.raises(data.DataError) as caught:
            open_source(uri)
        return str(caught.value)

    name.write_bytes(data_[:-1])
    assert name.name in error()
    name.unlink()
    assert name.name in error()
    name.write_bytes(data_)
    (tmp_path / "train-r03.tfrecords.002").touch()
    assert "train-r03.tfrecords.002" in error()
    (tmp_path / "train-r03.tfrecords.002").unlink()
    header = np.lib.format.magic(1, 0) + b"\x76\0" + b"%-117s\n"
    huge = header % b"{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000000,)}"
    for damaged in (b"x", b"", huge, huge[:60], huge.replace(b"}", b"{")):
        (tmp_path / "train-labels.npy").write_bytes(damaged)
        with pytest.raises(data.DataError, match="train-labels.npy"):
            _ = open_source(uri).labels
    for replace in (
        lambda path: None,
        os.mkfifo,
        lambda path: np.savez(tmp_path / "x.npz", a=3) or (tmp_path / "x.npz").rename(path),
    ):
        (tmp_path / "train-labels.npy").unlink(missing_ok=True)
        replace(tmp_path / "train-labels.npy")
        with pytest.raises(data.DataError, match="train-labels.npy"):
            _ = open_source(uri).labels
    np.save(tmp_path / "train-labels.npy", np.zeros(3))
    with pytest.raises(data.DataError, match=r"train-labels.npy.*float64 \[3\]"):
        _ = open_source(uri).labels
    for text in ("{", "[]", '{"parts": 3}', '{"parts": {"train": {"files": {}}}}'):
        (tmp_path / "dataset.json").write_text(text)
        assert "dataset.json" in error()


def test_dataset_json_names_no_file_outside(tmp_path, source):
    run(tmp_path / "out", "--shards=2")
    labels = tmp_path / "out/train-labels.npy"
    labels.rename(tmp_path / "train-labels.npy")
    path = tmp_path / "out/dataset.json"
    for outside in ("../train-labels.npy", f"{tmp_path}/train-labels.npy"):
        manifest = json.loads(path.read_text())
        manifest["parts"]["train"]["labels"]["file"] = outside
        path.write_text(json.dumps(manifest))
        with pytest.raises(data.DataError, match="train-labels.npy"):
            _ = open_source(f"tfrecord:{tmp_path}/out").labels


@pytest.mark.parametrize(
    "name",
    ["train-r02.tfrecords.000", "test-r04.tfrecords.000", "train-labels.npy", "dataset.json"],
)
@pytest.mark.parametrize("make", ["write", "link", "mkdir", "mkfifo"])
def test_files_of_others_are_not_replaced(tmp_path, source, monkeypatch, name, make):
    out = tmp_path / "out"
    (out / ".prepare").mkdir(parents=True)
    with monkeypatch.context() as patch:  # a preparation that was stopped at once
        patch.setattr(preparing, "write", lambda *arguments: "")
        assert run(out, "--shards=2")[0] == 0
    if make == "write":
        (out / name).write_text("{}")
    elif make == "link":
        (tmp_path / "mine").write_text("{}")
        (out / name).symlink_to(tmp_path / "mine")
    else:
        getattr(os, make)(out / name)
    before, names = (out / name).lstat(), {path.name for path in out.iterdir()}
    code, text = run(out, "--shards=2")
    assert code == 2 and f"--out={out}" in text and name in text
    assert (out / name).lstat() == before and {path.name for path in out.iterdir()} == names
    (out / name).rmdir() if make == "mkdir" else (out / name).unlink()
    assert run(out, "--shards=2")[0] == 0


def test_a_disk_too_full_for_the_plan(source, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(preparing, "write_atomic", full)
    code, text = run(tmp_path / "out")
    assert code == 1 and f"No space left on device. --out={tmp_path}/out: " in text
