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

    The factor is the variable's attribute `step_factor` (`alae_tf.layers`), 1 without one.
    Variables without a gradient in an update are left out of `apply`, so their t stands still.
    """

    def __init__(self, learning_rate=0.0015, beta_2=0.99, name="lreq_adam", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_2 = beta_2

    def build(self, variables):
        """Makes v and t for each variable."""
        if self.built:
            return
        super().build(variables)
        self._v = [self.add_variable_from_reference(v, name="v") for v in variables]
        self._t = [self.add_variable((), name=f"t_{i}") for i in range(len(variables))]
        self._factors = [getattr(variable, "step_factor", 1.0) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """One update of one variable; called by Keras on every replica."""
        index = self._get_variable_index(variable)
        v, t = self._v[index], self._t[index]
        beta_2 = tf.cast(self.beta_2, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype)
        t_new = t + 1.0
        v_new = beta_2 * v + (1.0 - beta_2) * tf.square(gradient)
        rate = learning_rate * self._factors[index] * tf.sqrt(1.0 - tf.pow(beta_2, t_new))
        self.assign(t, t_new)
        self.assign(v, v_new)
        self.assign_sub(variable, rate * gradient / (tf.sqrt(v_new) + 1e-8))

    def reset(self):
        """Forgets v and t, as at the start of every level. The learning rate stays."""
        for variable in [*self._v, *self._t]:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def slots(self):
        """(variable, its v, its t) for every variable."""
        return zip(self._trainable_variables, self._v, self._t, strict=True)

    def get_config(self):
        return super().get_config() | {"beta_2": self.beta_2}
