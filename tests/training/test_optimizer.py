import keras
import numpy as np
import pytest

from alae_tf.networks.layers import EqualizedDense
from alae_tf.training.optimizer import LREQAdam


def test_two_steps_by_hand():
    x = keras.Variable([1.0])
    x.step_factor = 0.5
    optimizer = LREQAdam(learning_rate=0.1, beta_2=0.99)
    optimizer.build([x])
    optimizer.apply([np.array([2.0], np.float32)], [x])
    # v = .01*4, rate .1*.5*sqrt(1-.99), step rate*2/sqrt(.04) = .05
    assert x.numpy() == pytest.approx([0.95], abs=1e-6)
    optimizer.apply([np.array([1.0], np.float32)], [x])
    step = 0.05 * np.sqrt(1 - 0.99**2) / np.sqrt(0.99 * 0.04 + 0.01)
    assert x.numpy() == pytest.approx([0.95 - step], abs=1e-6)


def test_a_variable_left_out_is_not_counted():
    a, b = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = LREQAdam(learning_rate=0.1)
    optimizer.build([a, b])
    one = np.ones(1, np.float32)
    optimizer.apply([one], [a])
    optimizer.apply([one, one], [a, b])
    assert [float(t) for _, _, t in optimizer.slots()] == [2.0, 1.0]
    assert b.numpy() == pytest.approx([0.9], abs=1e-6)  # its first step, bias-corrected as such


def test_reset_forgets_the_state():
    a = keras.Variable([1.0])
    optimizer = LREQAdam(learning_rate=0.1)
    optimizer.build([a])
    optimizer.apply([np.ones(1, np.float32)], [a])
    optimizer.reset()
    assert [(v.numpy().tolist(), t.numpy()) for _, v, t in optimizer.slots()] == [([0.0], 0.0)]


def test_factors_of_an_equalised_layer():
    layer = EqualizedDense(8, 4, lr_multiplier=0.1)
    assert layer.kernel.step_factor == pytest.approx(0.1 * 2**0.5 / 8**0.5)
    assert layer.bias.step_factor == 0.1


def test_config_round_trip():
    optimizer = LREQAdam.from_config(LREQAdam(learning_rate=0.003, beta_2=0.9).get_config())
    assert (float(optimizer.learning_rate), optimizer.beta_2) == (pytest.approx(0.003), 0.9)
