"""The URI."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from alae_tf.config import Config
from alae_tf.data import (
    SCHEMES,
    DataError,
    Scheme,
    absolute,
    check,
    evenly,
    is_uri,
    open_source,
    warn_about_classes,
)
from alae_tf.data import source as source_
from alae_tf.data.source import split_query
from tests.paths import ROOT


def test_split_query():
    assert split_query("/a b/c", ("x",)) == ("/a b/c", {})
    assert split_query("/a?x=1&y=/d=e", ("x", "y")) == ("/a", {"x": "1", "y": "/d=e"})
    # Question marks of the path's own, and a path that itself ends like an option.
    for path in ("/what?", "/a?b/c", "/a?b=c/d", "/a?x/", "?"):
        assert split_query(path, ("x",)) == (path, {})
        assert split_query(f"{path}?x=1", ("x",)) == (path, {"x": "1"})
    for path in ("/a?b=1", "/a?x=2"):
        assert split_query(f"{path}?x=1", ("x",)) == (path, {"x": "1"})


@pytest.mark.parametrize(
    "uri, parts",
    [
        ("lmdb:/x", ["--data=lmdb:/x", "'lmdb'", "folder:/data/faces"]),
        ("", ["--data=: ''", "idx:DIR", "tfds:mnist"]),
        ("folder:", ["--data=folder:", "folder:DIR"]),
        ("mnist5k", ["mnist5k:?"]),
        ("mnist5k:7", ["--data=mnist5k:7", "mnist5k:"]),
        ("/data/faces", ["folder:/data/faces?"]),
        ("./faces", ["folder:./faces?"]),
        ("folder:/x?chanels=1", ["'chanels=1'", "channels=…"]),
        ("folder:/x?channels=", ["'channels='", "channels=…"]),
    ],
)
def test_a_uri_that_cannot_be_used_says_what_can(uri, parts):
    with pytest.raises(DataError) as error:
        open_source(uri)
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize("uri", ["lmdb:/x", "", "folder:", "mnist5k", "mnist5k:7", "/data/faces"])
def test_the_check_reports_malformed_uris_too(uri):
    with pytest.raises(DataError) as opened:
        open_source(uri)
    with pytest.raises(DataError) as checked:
        check(uri)
    assert str(checked.value) == str(opened.value)


def test_the_check_looks_for_the_directory_alone(tmp_path):
    (tmp_path / "a?b").mkdir()
    for uri in (
        "mnist5k:",
        "tfds:mnist",
        f"folder:{tmp_path}",
        f"folder:{tmp_path}/a?b?channels=1",
    ):
        check(uri)
    for uri in (f"tfrecord:{tmp_path}", f"tfrecord:{tmp_path}/prefix", f"idx:{tmp_path}"):
        check(uri)
    for uri in ("folder:/none", "idx:/none", "tfrecord:/none/prefix"):
        with pytest.raises(DataError, match=f"--data={uri}: /none "):
            check(uri)


def test_a_path_with_digits_suggests_idx(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match=f" idx:{tmp_path}"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("name", ["my photos.tgz", "photos.tar.gz"])
@pytest.mark.parametrize("form", ["{}", "folder:{}"])
def test_the_hint_for_an_archive_works(tmp_path, name, form):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    stem, _, kind = name.partition(".")
    shutil.make_archive(str(tmp_path / stem), "gztar", tmp_path, "a.png")
    if kind == "tgz":
        (tmp_path / f"{stem}.tar.gz").rename(tmp_path / name)
    uri = form.format(tmp_path / name)
    for open_ in (open_source, check):
        with pytest.raises(DataError, match=str(tmp_path)) as error:
            open_(uri)
    command = re.search(r"\(python (.*)\)", str(error.value))
    assert command
    subprocess.run([sys.executable, *shlex.split(command[1])], check=True)
    assert open_source(f"folder:{tmp_path / stem}").files == ["a.png"]
    assert f"--data=folder:{tmp_path / stem}" in str(error.value)


def test_a_path_of_a_file_suggests_its_folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=f" folder:{tmp_path}\\?"):
        open_source(str(tmp_path / "a.png"))


def test_a_wrong_path_is_reported_without_tensorflow(tmp_path):
    """Importing it takes seconds."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code = f"""
import sys
from alae_tf.data import DataError, check, open_source
for uri in ("folder:/none", "idx:/none", "tfrecord:/none", "none", "none:"):
    try:
        open_source(uri)
    except DataError:
        continue
    raise AssertionError(uri)
assert len(open_source("folder:{tmp_path}")) == 1
print({{"tensorflow", "keras", "tensorflow_datasets"}} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_what_names_a_set_and_what_a_file(tmp_path, monkeypatch):
    assert is_uri("folder:photos") and is_uri("mnist5k:")
    assert not is_uri("photo.png") and not is_uri("c:photo.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idx:1.png").touch()
    assert not is_uri("idx:1.png")  # a file of that name goes first


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("folder:photos?test=other&channels=1", "folder:/a/photos?test=/a/other&channels=1"),
        ("folder:/photos", "folder:/photos"),
        ("folder:photos?test=0.1", "folder:/a/photos?test=0.1"),
        ("tfrecord:photos/train", "tfrecord:/a/photos/train"),
        ("tfds:mnist:3.0.1?data_dir=sets", "tfds:mnist:3.0.1?data_dir=/a/sets"),
        ("noise:100", "noise:100"),
        ("mnist5k:", "mnist5k:"),
        ("lmdb:x", "lmdb:x"),
    ],
)
def test_only_paths_are_made_absolute(uri, expected, monkeypatch):
    monkeypatch.setitem(SCHEMES, "noise", Scheme("noise:N", "N images of noise", "noise:open"))
    assert absolute(uri, "/a") == expected


@pytest.mark.parametrize(
    ("length", "count", "places"),
    [(10, 4, [0, 2, 5, 7]), (5, 5, [0, 1, 2, 3, 4]), (2, 4, [0, 0, 1, 1]), (7, 1, [0])],
)
def test_images_spread_evenly_over_a_source(length, count, places):
    assert evenly(range(length), count).tolist() == places


def test_sets_too_large_for_memory_are_thinned_evenly(monkeypatch):
    source = open_source("mnist5k:")
    assert source_.within_memory(source, 28) is source
    monkeypatch.setattr(source_, "MOST_BYTES", 5 * 28**2 * 45)
    part = source_.within_memory(source, 28)
    assert len(part) == 45
    np.testing.assert_array_equal(part.labels, source.labels[::100])
    np.testing.assert_array_equal(part.fitted(44, 28), source.fitted(4400, 28))


def test_mirroring_images_of_classes_is_warned_about(capsys):
    digits = open_source("mnist5k:")
    warn_about_classes(digits, ["--flip=true"])
    assert "--flip=true" in capsys.readouterr().err
    warn_about_classes(digits, [])
    assert not capsys.readouterr().err
    assert Config(flip=False, augment="ada").turning == ["--augment_operations=geometry,colour"]
    assert Config(flip=False, augment="ada", augment_operations=("colour",)).turning == []
