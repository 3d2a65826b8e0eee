"""Types of flags."""

import argparse
from pathlib import Path

import pytest

from alae_tf.runs.directory import RunDirectory, existing_run
from alae_tf.system.arguments import between, local, output, place
from alae_tf.system.errors import AlaeError


def test_the_home_directory_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for read in (local, output(".png"), place, lambda text: RunDirectory(text).path):
        assert read("~/a.png") == tmp_path / "a.png"
        assert read("~a.png") == Path("~a.png")


def test_without_a_home_directory_no_folder_is_named_by_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "~")  # what expanding gives if the system does not know the user
    for read in (local, output(".png"), place):
        with pytest.raises(argparse.ArgumentTypeError, match="^~/a.png: "):
            read("~/a.png")
    for read in (RunDirectory, existing_run):
        with pytest.raises(AlaeError, match="^~/a: "):
            read("~/a")


@pytest.mark.parametrize("text", ["x", "", "0", "11", "nan", "1e3", "9" * 5000])
def test_numbers_out_of_range(text):
    with pytest.raises(argparse.ArgumentTypeError):
        between(1, 10)(text)
    assert between(1, 10)("10") == 10
