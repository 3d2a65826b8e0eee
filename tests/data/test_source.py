"""The URI."""

import subprocess
import sys

import pytest
from PIL import Image

from alae_tf.data import DataError, check, open_source
from alae_tf.data.source import split_query
from tests.paths import ROOT


def test_split_query():
    assert split_query("u", "/a b/c", ("x",)) == ("/a b/c", {})
    assert split_query("u", "/a?x=1&y=/d=e", ("x", "y")) == ("/a", {"x": "1", "y": "/d=e"})
    # Question marks of the path's own, and a path that itself ends like an option.
    for path in ("/what?", "/a?b/c", "/a?b=c/d", "/a?x/", "?"):
        assert split_query("u", path, ("x",)) == (path, {})
        assert split_query("u", f"{path}?x=1", ("x",)) == (path, {"x": "1"})
    for path in ("/a?b=1", "/a?x=2"):
        assert split_query("u", f"{path}?x=1", ("x",)) == (path, {"x": "1"})


@pytest.mark.parametrize(
    "uri, parts",
    [
        ("lmdb:/x", ["--data=lmdb:/x", "'lmdb' is no kind of data", "folder:/data/faces"]),
        ("", ["--data=: '' is no kind of data", "idx:DIR", "tfds:mnist"]),
        ("folder:", ["nothing follows the colon", "folder:DIR"]),
        ("mnist5k", ["did you mean mnist5k:?"]),
        ("mnist5k:7", ["nothing can follow the colon", "--data=mnist5k:"]),
        ("/data/faces", ["did you mean folder:/data/faces?"]),
        ("./faces", ["did you mean folder:./faces?"]),
        ("folder:/x?chanels=1", ["'chanels=1' is not understood", "channels=…"]),
        ("folder:/x?channels=", ["'channels=' is not understood", "channels=…"]),
    ],
)
def test_a_uri_that_cannot_be_used_says_what_can(uri, parts):
    with pytest.raises(DataError) as error:
        open_source(uri)
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize("uri", ["lmdb:/x", "", "folder:", "mnist5k", "mnist5k:7", "/data/faces"])
def test_what_is_no_uri_is_told_by_the_check_too(uri):
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
        with pytest.raises(DataError, match=f"--data={uri}: /none is not a directory"):
            check(uri)


def test_a_path_with_digits_suggests_idx(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match=f"did you mean idx:{tmp_path}?"):
        open_source(str(tmp_path))


def test_a_wrong_path_is_told_without_tensorflow(tmp_path):
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
