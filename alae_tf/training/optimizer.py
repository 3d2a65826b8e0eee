"""LREQ Adam: the optimizer of the released model."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("alae_tf")
class LREQAdam(keras.optimizers.Optimizer):
    """Adam without a first moment, with a step factor and a step counter per variable.

    With t the number of updates in which the variable had a gradient,

        v ← β₂ v + (1 − β₂) g²
        θ ← θ − learning_rate · factor · √(1 − β₂ᵗ) · g / (√v + 1e-8)

    Args:
        learning_rate: float.
        beta_2: float in [0, 1). Decay of v.
        gate: a float32 scalar variable, or None. While it is 0, updates change nothing; float16
            uses it to skip steps.

    The factor is the variable's attribute `step_factor` (`alae_tf.networks.layers`), default 1.
    Variables without a gradient in an update are not passed to `apply`, so their t does not change.
    """

    def __init__(self, learning_rate=0.0015, beta_2=0.99, gate=None, name="lreq_adam", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_2, self.gate = beta_2, gate

    def build(self, variables):
        """Creates v and t for each variable."""
        if self.built:
            return
        super().build(variables)
        self._v = [self.add_variable_from_reference(v, name="v") for v in variables]
        self._t = [
            self.add_variable((), dtype=v.dtype, name=f"t_{i}") for i, v in enumerate(variables)
        ]
        self._factors = [getattr(variable, "step_factor", 1.0) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable; called by Keras on every replica."""
        index: int = self._get_variable_index(variable)
        v, t = self._v[index], self._t[index]
        beta_2 = tf.cast(self.beta_2, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype)
        t_new = t + 1.0
        v_new = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
        rate = tf.cast(learning_rate * self._factors[index], variable.dtype)
        rate *= tf.sqrt(1.0 - tf.pow(beta_2, t_new))
        if self.gate is not None:
            open_ = tf.convert_to_tensor(self.gate) > 0.0
            t_new, v_new = tf.where(open_, t_new, t), tf.where(open_, v_new, v)
            gradient = tf.where(open_, gradient, 0.0)
        self.assign(t, t_new)
        self.assign(v, v_new)
        self.assign_sub(variable, rate * gradient / (tf.sqrt(v_new) + 1e-8))

    def reset(self):
        """Sets v and t to 0, as at the start of every level. The learning rate stays."""
        for variable in [*self._v, *self._t]:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def slots(self):
        """(variable, its v, its t) for every variable."""
        return zip(self._trainable_variables, self._v, self._t, strict=True)

    def get_config(self):
        return super().get_config() | {"beta_2": self.beta_2}


class LossScale:
    """Dynamic loss scaling, which keeps gradients within float16's range.

    Losses are multiplied by `value` before they are differentiated, and gradients divided by it.
    An update whose gradients still overflow is skipped and the value halved; after
    `GROWTH_UPDATES` updates without an overflow it is doubled. Both optimizers share one scale,
    since update 3 moves the networks of both by one backward pass (Keras' LossScaleOptimizer would
    have a scale for each).

    Attributes:
        value: float32 scalar variable.
        good: float32 scalar variable, updates since the value last changed.
        gate: float32 scalar variable, 1 if the latest gradients were finite, else 0.
    """

    START = 2.0**15
    GROWTH_UPDATES = 2000

    def __init__(self):
        kwargs = dict(trainable=False, autocast=False, aggregation="only_first_replica")
        self.value = keras.Variable(self.START, name="loss_scale", **kwargs)
        self.good = keras.Variable(0.0, name="loss_scale_good", **kwargs)
        self.gate = keras.Variable(1.0, name="loss_scale_gate", **kwargs)

    def unscale(self, gradients: list) -> list:
        """Divides gradients (or None) by the scale, and updates `gate` and the scale.

        Every replica must call it; all arrive at the same values.
        """
        scale = tf.convert_to_tensor(self.value)
        gradients = [None if g is None else tf.cast(g, tf.float32) / scale for g in gradients]
        sums = [tf.reduce_sum(g) for g in gradients if g is not None]  # NaN or ∞ if an entry is
        bad = tf.cast(~tf.reduce_all(tf.math.is_finite(tf.stack(sums))), tf.float32)
        context = tf.distribute.get_replica_context()
        finite = context.all_reduce(tf.distribute.ReduceOp.SUM, bad) == 0.0
        good = tf.where(finite, self.good + 1.0, 0.0)
        grown = good >= self.GROWTH_UPDATES
        self.gate.assign(tf.cast(finite, tf.float32))
        self.value.assign(tf.where(finite, tf.where(grown, 2.0 * scale, scale), scale / 2.0))
        self.good.assign(tf.where(grown, 0.0, good))
        return gradients
