import errno

import pytest

from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory
from alae_tf.training.reach import Reach


@pytest.fixture
def directory(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.open()
    directory.write_config(Config())
    yield directory
    directory.close()


def fails(number):
    def write():
        raise OSError(number, "as the disk says")

    return write


def test_away_and_back_are_said_once(directory, capsys):
    reach, done = Reach(directory), []
    assert reach(lambda: done.append(1)) and not reach.away
    assert not reach(fails(errno.EIO)) and not reach(fails(errno.EIO))
    assert reach.away and done == [1]
    said = capsys.readouterr().err
    assert said.count("as the disk says; training goes on and saves when it is back") == 1
    assert reach(lambda: done.append(2)) and not reach.away
    assert capsys.readouterr().err.count("is back") == 1
    assert done == [1, 2]


def test_a_full_disk_is_no_directory_that_is_away(directory):
    with pytest.raises(OSError, match="as the disk says"):
        Reach(directory)(fails(errno.ENOSPC))


def test_a_missing_file_in_a_directory_that_is_there_is_an_error(directory):
    with pytest.raises(FileNotFoundError):
        Reach(directory)(fails(errno.ENOENT))
