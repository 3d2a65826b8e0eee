import numpy as np
import pytest
import tensorflow as tf

from alae_tf.training import losses


def test_r1_is_the_squared_image_gradient():
    def logits(x):
        return 3.0 * tf.reduce_sum(x, [1, 2, 3])  # gradient 3 at each of 4*4*1 pixels

    real_logits, penalty = losses.logits_and_r1(logits, tf.ones([2, 4, 4, 1]), gamma=10.0)
    assert real_logits.numpy() == pytest.approx([48.0, 48.0])
    assert penalty.numpy() == pytest.approx([5 * 9 * 16] * 2)  # per example, not summed over them


def test_no_gamma_no_penalty():
    _, penalty = losses.logits_and_r1(
        lambda x: tf.reduce_sum(x, [1, 2, 3]), tf.ones([2, 4, 4, 1]), 0
    )
    assert penalty.numpy().tolist() == [0, 0]


def test_gan_losses():
    fake, real = tf.constant([0.0, 2.0]), tf.constant([0.0, -1.0])
    expected = [2 * np.log(2), np.log1p(np.exp(2)) + np.log1p(np.exp(1))]
    assert losses.discriminator_loss(fake, real).numpy() == pytest.approx(expected)
    expected = [np.log(2), np.log1p(np.exp(-2))]
    assert losses.generator_loss(fake).numpy() == pytest.approx(expected)


def test_latent_loss_holds_w_fixed():
    w, found = tf.constant([[1.0, 2.0]]), tf.constant([[2.0, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch([w, found])
        loss = losses.latent_loss(w, found)
    assert loss.numpy() == pytest.approx([2.5])
    of_w, of_found = tape.gradient(loss, [w, found])
    assert of_w is None
    assert of_found.numpy() == pytest.approx(np.array([[1.0, 2.0]]))
