import os
import zipfile

import numpy as np
import pytest

from alae_tf.official import goldens
from alae_tf.official.weights import OfficialError
from alae_tf.runs.npz import read_npz


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.npy", "a"])
def test_a_name_that_stands_twice_is_refused(tmp_path, second):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3), b=np.zeros(2))
    np.testing.assert_array_equal(read_npz(path)["a"], np.ones(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(second, archive.read("b.npy"))
    with pytest.raises(ValueError, match="same name"):
        read_npz(path)
    with pytest.raises(OfficialError, match="a.npz"):
        goldens.read_npz(path)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    with pytest.raises(ValueError):
        read_npz(tmp_path / "x.npz")
