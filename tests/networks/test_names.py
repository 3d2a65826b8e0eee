"""Names and checksums of weights."""

import keras
import numpy as np
import pytest

from alae_tf.networks.names import checksum


def layer(**values):
    """A layer with variables of these names, in this order."""
    made = keras.Layer()
    for name, value in values.items():
        setattr(made, name, keras.Variable(np.array(value, np.float32)))
    return made


@pytest.mark.parametrize("blend", [None, 0.5])
def test_a_checksum_covers_every_number_and_name(blend):
    first = checksum(layer(b=[1, 2], a=[[3, 4]]), blend)
    assert checksum(layer(b=[1, 2], a=[[3, 4]]), blend) == first
    assert checksum(layer(b=[1, 2], a=[[3, 5]]), blend) != first
    assert checksum(layer(b=[1, 2], c=[[3, 4]]), blend) != first


def test_checksums_in_earlier_files_stay_recognised():
    """In files of directions (which hold 16 digits), and in manifests of exports."""
    weights = layer(b=[1, 2], a=[[3, 4]])
    assert checksum(weights)[:16] == "76f4f8c47c6833b3"
    assert checksum(weights, 0.5).startswith("f414473c52ce6fe2")
    assert checksum(weights, 1.0) != checksum(weights, 0.5)
