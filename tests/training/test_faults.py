import errno

import pytest
import tensorflow as tf

from alae_tf.training import faults


def test_a_full_disk_is_told_as_such():
    with pytest.raises(OSError, match="No space left on device") as error:
        with faults.full_disk_as_such():
            raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")
    assert error.value.errno == errno.ENOSPC not in faults.AWAY
    with pytest.raises(tf.errors.DataLossError), faults.full_disk_as_such():
        raise tf.errors.DataLossError(None, None, "something else")
