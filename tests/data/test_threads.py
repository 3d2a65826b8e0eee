import numpy as np
import pytest

from alae_tf.data.threads import ExitGate, for_each_part


@pytest.mark.parametrize("size", [1, 31, 33, 1000])
def test_every_index_has_its_turn_once(size):
    turns = np.zeros(size, int)

    def work(part):
        turns[part] += 1

    for_each_part(work, size)
    assert (turns == 1).all()


def test_what_goes_wrong_reaches_the_caller():
    def work(part):
        if 7 in part:
            raise ValueError("image 7")

    with pytest.raises(ValueError, match="image 7"):
        for_each_part(work, 40)


def test_a_closed_gate_gives_the_substitute():
    gate = ExitGate()
    assert gate(lambda: "work", lambda: "instead") == "work"
    gate._close()
    assert gate(lambda: "work", lambda: "instead") == "instead"
