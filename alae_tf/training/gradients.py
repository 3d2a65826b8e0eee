"""The gradients of an update: its tape, replicas, accumulation and the loss scale of float16."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from alae_tf.training.draws import Draw

Loss = Callable[[tf.Tensor, Draw], tuple[tf.Tensor, dict[str, tf.Tensor]]]


class Gradients:
    """The gradients of losses on one replica's share of a batch.

    Call:
        loss: (real, draw) → (loss of each example [N], by name: values [N, …] to add up over
            examples).
        networks: letters of "FGED".
        Returns (this replica's share of the mean loss, the sums by name, the gradients of the
        networks' variables; None for variables that the loss does not use).

    Attributes:
        scale: factor of losses while they are differentiated; 1 except in float16.
    """

    def __init__(self, trainer, batch: int):
        self.config, self.alae, self.batch = trainer.config, trainer.alae, batch
        self.optimizers = {"ED": trainer.optimizer_ed, "FG": trainer.optimizer_fg}
        self.loss_scale, self.frozen = trainer.loss_scale, trainer.frozen
        self._last: list[tf.Tensor] = []  # gradients of the previous update

    @property
    def scale(self) -> tf.Tensor | float:
        return 1.0 if self.loss_scale is None else tf.convert_to_tensor(self.loss_scale.value)

    def __call__(self, loss: Loss, networks: str, real: tf.Tensor, draw: Draw):
        variables = self.variables(networks)

        def differentiate(real, draw):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                for variable in variables:
                    tape.watch(variable.value)
                per_example, others = loss(real, draw)
                mean = tf.reduce_sum(per_example) / self.batch
                scaled = mean * self.scale
            sums = {name: tf.reduce_sum(each, axis=0) for name, each in others.items()}
            return mean, sums, tape.gradient(scaled, variables)

        compute = differentiate
        if self.config.xla:  # which cannot compile the exchange between replicas that follows
            compute = tf.function(differentiate, jit_compile=True)
        return self._accumulate(compute, real, draw)

    def variables(self, networks: str) -> list:
        """The trainable variables of networks that are not frozen, in their order."""
        found = [v for letter in networks for v in getattr(self.alae, letter).trainable_variables]
        return [v for v in found if id(v) not in self.frozen]

    def after_last(self, z: tf.Tensor) -> tf.Tensor:
        """z, but only once the gradients of the previous update are computed. Otherwise TensorFlow
        might hold the activations of all updates in memory at once."""
        with tf.control_dependencies(self._last):
            return tf.identity(z)

    def _accumulate(self, compute, real: tf.Tensor, draw: Draw):
        """The sum of `compute` over the --accumulate parts of this replica's examples.

        One part is in memory at a time: the first shows which gradients exist, a loop adds those
        of the other parts.
        """
        parts = self.config.accumulate
        if parts == 1:
            return compute(real, draw)

        def part(i):
            def own(x):
                return tf.reshape(x, [parts, x.shape[0] // parts, *x.shape[1:]])[i]

            return own(real), draw.of_examples(own)

        first = compute(*part(0))
        exists = [x is not None for x in tf.nest.flatten(first)]

        def existing(result):
            return [x for x, ok in zip(tf.nest.flatten(result), exists, strict=True) if ok]

        def add(i, *sums):
            new = existing(compute(*part(i)))
            return i + 1, *(a + b for a, b in zip(sums, new, strict=True))

        start = (tf.constant(1), *existing(first))
        _, *sums = tf.while_loop(lambda i, *_: i < parts, add, start, parallel_iterations=1)
        sums = iter(sums)
        return tf.nest.pack_sequence_as(first, [next(sums) if ok else None for ok in exists])

    def apply(self, networks: str, gradients: list) -> None:
        """Moves the variables of `networks`, letters of "FGED", by their gradients. Layers of other
        levels have no gradient and do not move."""
        self._last = [gradient for gradient in gradients if gradient is not None]
        if self.loss_scale is not None:
            gradients = self.loss_scale.unscale(gradients)
        found = dict(zip(map(id, self.variables(networks)), gradients, strict=True))
        for letters, optimizer in self.optimizers.items():
            moved = self.variables("".join(letter for letter in networks if letter in letters))
            pairs = [(found[id(v)], v) for v in moved if found[id(v)] is not None]
            if pairs:
                optimizer.apply(*zip(*pairs, strict=True))
