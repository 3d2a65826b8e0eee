"""The gradients of a loss whose derivative is known."""

import numpy as np
import pytest
import tensorflow as tf

from alae_tf.training.draws import Draw
from alae_tf.training.gradients import Gradients
from alae_tf.training.trainer import Trainer

BATCH = 8


def computed(config, networks="D"):
    """The mean loss, the sums, the gradients and the variables of Σ over weights of D's last layer,
    times each example's number."""
    gradients = Gradients(Trainer(config), BATCH)
    weight = gradients.alae.D.dense[-1].kernel

    def loss(real, draw):
        numbers = draw.z[:, 0]
        return numbers * tf.reduce_sum(weight), {"numbers": numbers, "real": real[:, 0, 0]}

    z = tf.reshape(tf.range(BATCH, dtype=tf.float32), [BATCH, 1])
    found = gradients(loss, networks, tf.ones([BATCH, 1, 1, 1]), Draw(z))
    return *found, gradients, weight


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_parts_of_a_batch_add_up_to_the_whole(small_mlp, accumulate):
    mean, sums, found, gradients, weight = computed(small_mlp.replace(accumulate=accumulate))
    np.testing.assert_allclose(mean, 3.5 * tf.reduce_sum(weight), rtol=1e-6)
    assert float(sums["numbers"]) == 28 and sums["real"].numpy().tolist() == [BATCH]
    for variable, gradient in zip(gradients.variables("D"), found, strict=True):
        if variable is weight:
            np.testing.assert_allclose(gradient, np.full(weight.shape, 3.5), rtol=1e-6)
        else:
            assert gradient is None


def test_float16_scales_the_loss_and_its_steps_are_not_scaled(small):
    config = small.replace(precision="float16")
    _, _, found, gradients, weight = computed(config)
    place = [variable is weight for variable in gradients.variables("D")].index(True)
    np.testing.assert_allclose(found[place], np.full(weight.shape, 3.5 * 2**15), rtol=1e-6)
    before = weight.numpy()
    gradients.apply("D", found)
    plain = computed(small)
    plain[-2].apply("D", plain[2])
    np.testing.assert_allclose(weight - before, plain[-1] - before, rtol=1e-5)


def test_z_waits_for_the_gradients_of_the_update_before(small_mlp):
    *_, gradients, _ = computed(small_mlp)
    np.testing.assert_array_equal(gradients.after_last(tf.ones([2])), [1, 1])
