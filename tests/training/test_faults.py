import errno

import pytest
import tensorflow as tf

from alae_tf.training import faults


def test_the_reason_in_a_message_of_tensorflow():
    message = """Graph execution error:

Detected at node Reduce defined at (most recent call last):
  File "a.py", line 1, in <module>
<stack traces unavailable>
Collective ops is aborted by: Socket closed.
\t [[{{node Reduce}}]] [Op:__inference_step]"""
    assert faults.reason(message) == "Collective ops is aborted by: Socket closed"
    assert faults.reason("short") == "short"
    wrapped = "{{function_node IteratorGetNext}} Error in: x\nDataError: a.png: gone.\n\t [[x]]"
    assert faults.reason(wrapped) == "a.png: gone"


def test_a_full_disk_is_told_as_such():
    with pytest.raises(OSError, match="No space left on device") as error:
        with faults.full_disk_as_such():
            raise tf.errors.ResourceExhaustedError(None, None, "x; No space left on device")
    assert error.value.errno == errno.ENOSPC not in faults.AWAY
    with pytest.raises(tf.errors.DataLossError), faults.full_disk_as_such():
        raise tf.errors.DataLossError(None, None, "something else")
