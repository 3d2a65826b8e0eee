"""E as a readout of D: what it reads, by which layers, and what it leaves alone."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.networks import ops
from alae_tf.networks.alae import build_alae


@pytest.fixture
def alae(small):
    return build_alae(small.replace(discriminator="separate", encoder_head="readout"))


def test_it_reads_each_image_by_itself(alae):
    for level, side in enumerate((4, 8)):
        x = tf.random.stateless_normal([4, side, side, 1], [0, 0])
        alone = tf.concat([alae.E(x[i : i + 1], level=level) for i in range(4)], axis=0)
        np.testing.assert_allclose(alae.E(x, level=level), alone, atol=1e-5)


def test_level_0_by_hand(alae):
    """The last block of D, with 0 in place of the minibatch standard deviation."""
    block, x = alae.D.blocks[-1], tf.random.stateless_normal([2, 4, 4, 1], [0, 1])
    features = tf.concat([alae.D.features(x, 1), tf.zeros([2, 4, 4, 1])], axis=-1)
    first = block.convolve(features)
    styles = [ops.split_style(each)[1] for each in (first, block.halve(first))]
    expected = alae.E.to_w[2](styles[0]) + alae.E.to_w[3](styles[1])
    np.testing.assert_allclose(alae.E(x, level=0), expected, atol=1e-5)
    np.testing.assert_allclose(alae.E.long_features(x, level=0), tf.concat(styles, 1), atol=1e-5)


def test_its_weights_are_its_projections_alone(alae):
    assert len(alae.E.trainable_variables) == 2 * len(alae.E.to_w) == 8  # a kernel and a bias each
    assert not {id(v) for v in alae.E.variables} & {id(v) for v in alae.D.variables}
