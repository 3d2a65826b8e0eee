import errno

import pytest
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory
from alae_tf.training.reach import Reach, full_disk_as_oserror


@pytest.fixture
def directory(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.open()
    directory.write_config(Config())
    yield directory
    directory.close()


def fails(number):
    def write():
        raise OSError(number, "disk error")

    return write


def test_unreachable_and_reachable_are_reported_once(directory, capsys):
    reach, done = Reach(directory), []
    assert reach(lambda: done.append(1)) and not reach.away
    assert not reach(fails(errno.EIO)) and not reach(fails(errno.EIO))
    assert reach.away and done == [1]
    assert capsys.readouterr().err.count("disk error") == 1
    assert reach(lambda: done.append(2)) and not reach.away
    assert capsys.readouterr().err.count(f"--run_dir={directory.path}") == 1
    assert done == [1, 2]


def test_a_full_disk_is_not_an_unreachable_directory(directory):
    with pytest.raises(OSError, match="disk error"):
        Reach(directory)(fails(errno.ENOSPC))


def test_a_missing_file_in_a_reachable_directory_is_an_error(directory):
    with pytest.raises(FileNotFoundError):
        Reach(directory)(fails(errno.ENOENT))


def test_tensorflows_error_of_a_full_disk_becomes_an_oserror():
    with pytest.raises(OSError) as error, full_disk_as_oserror():
        raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(tf.errors.DataLossError), full_disk_as_oserror():
        raise tf.errors.DataLossError(None, None, "something else")
