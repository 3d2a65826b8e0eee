import numpy as np
import pytest

from alae_tf.model.arguments import array, numbers, whole


def test_numbers_become_float32():
    assert numbers("w", [1, 2], (2,)).dtype == np.float32
    assert numbers("w", [[1.0]], (2,), ("N", 1)).shape == (1, 1)
    for value in ("abc", [1j], [True], None, [[1], [1, 2]], 1e300, np.nan, [1]):
        with pytest.raises(ValueError, match="^w: got"):
            numbers("w", value, ())


def test_arrays_of_any_type():
    assert array("images", [[1, 2]]).shape == (1, 2)
    with pytest.raises(ValueError, match="^images: got"):
        array("images", [[1], [1, 2]])


def test_whole_numbers():
    assert whole("n", np.int64(3), 1, 3) == 3
    for value in (0, 4, 2.0, True, "2", None):
        with pytest.raises(ValueError, match="^n: got"):
            whole("n", value, 1, 3)
