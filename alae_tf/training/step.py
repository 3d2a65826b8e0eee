"""Algorithm 1: three updates an iteration, each with its own gradient tape."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from alae_tf.config import Config
from alae_tf.networks import kernels, ops
from alae_tf.networks.alae import build_alae
from alae_tf.training import losses
from alae_tf.training.optimizer import LossScale, LREQAdam

UPDATES = ("d", "g", "latent")


class Draw(NamedTuple):
    """The random numbers of one update.

    Attributes:
        z: float32 [N, latent].
        noise: the noise maps of `Generator`, or None.
        z_mixed: float32 [N, latent], the z of the mixed-in styles; None: no style mixing.
        cutoff: int32 scalar, the first mixed-in style.
    """

    z: tf.Tensor
    noise: list[tf.Tensor] | None = None
    z_mixed: tf.Tensor | None = None
    cutoff: tf.Tensor | None = None


class Trainer:
    """The networks, the EMA of their weights, the two optimizers, and the step that moves them.

    Args:
        config: the run's config.
        strategy: a tf.distribute strategy; default: the one in scope (a single device).
        dtype: of the weights and optimizers, see `build_alae`.

    Attributes:
        alae: the networks being trained.
        ema: the EMA of their weights, which is what is evaluated and exported.
        optimizer_ed, optimizer_fg: of E and D, and of F and G.
        loss_scale: with float16, else None.
        traces: how often each level's step was traced.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy | None = None,
        dtype: str = "float32",
    ):
        self.config = config
        self.strategy = strategy or tf.distribute.get_strategy()
        with self.strategy.scope():
            self.alae = build_alae(config, dtype=dtype)
            self.ema = build_alae(config, dtype=dtype)
            for average, weight in zip(self.ema.variables, self.alae.variables, strict=True):
                average.assign(weight)
            self.loss_scale = LossScale() if config.precision == "float16" else None
            kwargs = dict(beta_2=config.adam_beta_2)
            if self.loss_scale is not None:
                kwargs["gate"] = self.loss_scale.gate
            self.optimizer_ed = LREQAdam(**kwargs, name="optimizer_ed")
            self.optimizer_fg = LREQAdam(**kwargs, name="optimizer_fg")
            F, G, E, D = self.alae.F, self.alae.G, self.alae.E, self.alae.D
            self.optimizer_ed.build(E.trainable_variables + D.trainable_variables)
            self.optimizer_fg.build(F.trainable_variables + G.trainable_variables)
        self.traces: dict[int, int] = {}
        self._steps = {}

    def set_learning_rate(self, level: int) -> None:
        """Sets both optimizers to the level's learning rate."""
        for optimizer in (self.optimizer_ed, self.optimizer_fg):
            optimizer.learning_rate = self.config.learning_rate(level)

    def reset_optimizers(self) -> None:
        """Clears both optimizers' state, as at the start of every level."""
        for optimizer in (self.optimizer_ed, self.optimizer_fg):
            optimizer.reset()

    def step(
        self, pixels, level: int, images_seen: int, blend: float, stop: bool = False
    ) -> dict[str, tf.Tensor]:
        """One iteration at `level`.

        Args:
            pixels: uint8 [batch, H, W, C], the global batch, or the strategy's per-replica values.
            level: int. The step is traced once a level.
            images_seen: images before this iteration; with the config's seed it fixes all draws.
            blend: in [0, 1].
            stop: whether this worker has been asked to stop.

        Returns:
            The three losses by name in `UPDATES`: float32 scalars, means over the global batch;
            and "stop", above 0 if any worker has been asked to stop.
        """
        every = self.config.r1_every
        r1 = every == 1 or (images_seen // self.config.batch_size(level)) % every == 0
        seed = tf.constant([self.config.seed, images_seen], tf.int64)
        blend, stop = (tf.constant(float(value), tf.float32) for value in (blend, stop))
        return self.traced(level, r1)(pixels, seed, blend, stop)

    def traced(
        self, level: int, r1: bool = True, batch: int | None = None
    ) -> tf.types.experimental.PolymorphicFunction:
        """The step at a level: pixels, seed [2], blend, stop → losses.

        Args:
            level: int.
            r1: with R1 or without.
            batch: global; default: the config's at the level.
        """
        key = (level, r1, batch or self.config.batch_size(level))
        if key not in self._steps:
            self._steps[key] = self._make_step(*key)
        return self._steps[key]

    def _make_step(self, level: int, r1: bool, batch: int):
        @tf.function
        def step(pixels, seed, blend, stop):
            self.traces[level] = self.traces.get(level, 0) + 1
            result = self.strategy.run(replica_step, args=(pixels, seed, blend, stop))
            reduce = tf.distribute.ReduceOp.SUM
            return {k: self.strategy.reduce(reduce, v, axis=None) for k, v in result.items()}

        def replica_step(pixels, seed, blend, stop):
            iteration = Iteration(self, level, blend, batch, r1)
            real = fade_images(ops.to_unit(pixels), level, blend)
            draws = {name: iteration.draw(name, seed) for name in UPDATES}
            with kernels.enabled(not tf.config.list_logical_devices("GPU")):
                losses = iteration(real, draws)
            return losses | {"stop": tf.identity(stop)}  # a value of this replica

        return step


class Iteration:
    """One iteration of Algorithm 1 on one replica's share of the batch.

    Args:
        trainer: holds networks and optimizers.
        level, blend: where the growing stands.
        batch: int. Global batch, by which losses are divided.
        r1: whether R1 is taken in this iteration.

    Call:
        real: float32 [N, H, W, C] in [−1, 1].
        draws: a `Draw` for each of `UPDATES`.
        Returns the replica's share of the three losses, to be summed over replicas.
    """

    def __init__(self, trainer: Trainer, level: int, blend: tf.Tensor, batch: int, r1: bool):
        self.config, self.alae, self.ema = trainer.config, trainer.alae, trainer.ema
        self.optimizer_ed, self.optimizer_fg = trainer.optimizer_ed, trainer.optimizer_fg
        self.loss_scale = trainer.loss_scale
        self.level, self.blend, self.batch, self.r1 = level, blend, batch, r1
        self.finished: list[tf.Tensor] = []  # gradients of the update before

    def __call__(self, real: tf.Tensor, draws: dict[str, Draw]) -> dict[str, tf.Tensor]:
        result = {
            "d": self.update_discriminator(real, draws["d"]),
            "g": self.update_generator(draws["g"]),
            "latent": self.update_latent(draws["latent"]),
        }
        self.update_ema()
        return result

    def update_discriminator(self, real: tf.Tensor, draw: Draw) -> tf.Tensor:
        """Update 1: E and D tell real images from generated ones; a separate D does so alone, E
        having no gradient here."""
        variables = self.alae.E.trainable_variables + self.alae.D.trainable_variables
        gamma = self.config.r1_gamma * self.config.r1_every if self.r1 else 0.0

        def differentiate(real, draw):
            fake, w = self.generate(draw)
            fake = tf.stop_gradient(fake)
            with tf.GradientTape() as tape:
                logits, penalty = losses.logits_and_r1(self.logits, real, gamma, self.scale())
                loss = losses.discriminator_loss(self.logits(fake), logits) + penalty
                loss, scaled = self.mean(loss)
            return loss, tf.reduce_sum(w, axis=0), tape.gradient(scaled, variables)

        loss, w_sum, gradients = self.total(differentiate, real, draw)
        self.apply(gradients, (self.optimizer_ed, variables))
        self.update_w_avg(w_sum)
        return loss

    def update_generator(self, draw: Draw) -> tf.Tensor:
        """Update 2: F and G make images that D∘E, or a separate D, takes for real."""
        variables = self.alae.F.trainable_variables + self.alae.G.trainable_variables

        def differentiate(draw):
            with tf.GradientTape() as tape:
                image, w = self.generate(draw)
                loss, scaled = self.mean(losses.generator_loss(self.logits(image)))
            return loss, tf.reduce_sum(w, axis=0), tape.gradient(scaled, variables)

        loss, w_sum, gradients = self.total(differentiate, draw)
        self.apply(gradients, (self.optimizer_fg, variables))
        self.update_w_avg(w_sum)
        return loss

    def update_latent(self, draw: Draw) -> tf.Tensor:
        """Update 3: E finds the w that G drew from, or its z, and G keeps it findable."""
        E, FG = self.alae.E.trainable_variables, self.alae.G.trainable_variables
        if "F" in self.config.latent_update:
            FG = self.alae.F.trainable_variables + FG

        def differentiate(draw):
            with tf.GradientTape() as tape:
                image, w = self.generate(draw)
                found = self.alae.E(image, level=self.level, blend=self.blend)
                sought = w if self.config.latent_regression == "w" else draw.z
                loss, scaled = self.mean(losses.latent_loss(sought, found))
            return loss, tf.reduce_sum(w, axis=0), tape.gradient(scaled, E + FG)

        loss, w_sum, gradients = self.total(differentiate, draw)
        self.apply(gradients, (self.optimizer_ed, E), (self.optimizer_fg, FG))
        self.update_w_avg(w_sum)
        return loss

    def update_w_avg(self, w_sum: tf.Tensor) -> None:
        """w_avg follows the global batch's mean w, at each of the three updates."""
        mean = w_sum / self.batch
        mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, mean)
        w_avg = self.alae.w_avg
        w_avg.assign(ops.lerp(mean, tf.convert_to_tensor(w_avg), self.config.w_avg_decay))

    def update_ema(self) -> None:
        """The EMA follows all weights; w_avg, a running mean already, is copied."""
        decay = 0.5 ** (self.batch / self.config.ema_images)
        pairs = zip(self.alae.trainable_variables, self.ema.trainable_variables, strict=True)
        for weight, average in pairs:
            average.assign_add((1.0 - decay) * (weight - average))
        self.ema.w_avg.assign(self.alae.w_avg)

    def generate(self, draw: Draw) -> tuple[tf.Tensor, tf.Tensor]:
        """G∘F: (images [N, H, W, C], their w [N, latent], before any style mixing)."""
        # Without the wait, G's passes of all updates would be in memory at once.
        with tf.control_dependencies(self.finished):
            z = tf.identity(draw.z)
        w = self.alae.F(z)
        styles = self.alae.broadcast(w)
        if draw.z_mixed is not None:
            styles = self.alae.mix(styles, self.alae.map(draw.z_mixed), draw.cutoff)
        return self.alae.decode(styles, self.level, self.blend, draw.noise), w

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """D∘E, or a separate D, at the current level and blend."""
        return self.alae.logits(x, self.level, self.blend)

    def scale(self) -> tf.Tensor | float:
        """What losses are multiplied by while they are differentiated; 1 but for float16."""
        return 1.0 if self.loss_scale is None else tf.convert_to_tensor(self.loss_scale.value)

    def mean(self, per_example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """This replica's share of the mean over the global batch, and that share scaled."""
        loss = tf.reduce_sum(per_example) / self.batch
        return loss, loss * self.scale()

    def total(self, differentiate, *batch):
        """The sum of what `differentiate` gives for each of --accumulate parts of the batch.

        One part is in memory at a time: the first shows which gradients there are, a loop adds
        the others. `differentiate` gives sums over examples: (loss, w_sum, gradients).
        """
        # XLA cannot compile the exchange between replicas, so it gets forward and backward only.
        compute = tf.function(differentiate, jit_compile=True) if self.config.xla else differentiate
        parts = self.config.accumulate
        if parts == 1:
            return compute(*batch)
        share = self.batch // tf.distribute.get_replica_context().num_replicas_in_sync

        def part(i):
            def own(x):  # the first noise map and the cutoff are for all examples
                whole = x.shape.rank and x.shape[0] == share
                return tf.reshape(x, [parts, share // parts, *x.shape[1:]])[i] if whole else x

            return tf.nest.map_structure(lambda x: x if x is None else own(x), batch)

        first = compute(*part(0))
        there = [x is not None for x in tf.nest.flatten(first)]

        def existing(result):
            return [
                x for x, is_there in zip(tf.nest.flatten(result), there, strict=True) if is_there
            ]

        def add(i, *sums):
            new = existing(compute(*part(i)))
            return i + 1, *(a + b for a, b in zip(sums, new, strict=True))

        start = (tf.constant(1), *existing(first))
        _, *sums = tf.while_loop(lambda i, *_: i < parts, add, start, parallel_iterations=1)
        sums = iter(sums)
        return tf.nest.pack_sequence_as(first, [next(sums) if ok else None for ok in there])

    def apply(self, gradients: list, *moved: tuple[LREQAdam, list]) -> None:
        """Applies the gradients that exist; the layers of other levels have none.

        Args:
            gradients: of all variables in `moved`, in order; None where there is none.
            moved: optimizers with the variables that each is to move.
        """
        self.finished = [gradient for gradient in gradients if gradient is not None]
        if self.loss_scale is not None:
            gradients = self.loss_scale.unscale(gradients)
        ordered = iter(gradients)
        for optimizer, variables in moved:
            pairs = [(next(ordered), variable) for variable in variables]
            optimizer.apply(*zip(*(pair for pair in pairs if pair[0] is not None), strict=True))

    def draw(self, update: str, seed: tf.Tensor) -> Draw:
        """Draws the random numbers of one update for this replica.

        Every replica draws for the whole batch and takes its part, so that the run is the same
        on any number of replicas.
        """
        seeds = tf.random.split(tf.random.fold_in(seed, UPDATES.index(update)), 5)
        z, z_mixed = (
            self.own(tf.random.stateless_normal([self.batch, self.config.latent_size], seeds[i]))
            for i in range(2)
        )
        noise = self.alae.noise("random", self.batch, self.level, seeds[2])
        noise = noise and [noise[0], *map(self.own, noise[1:])]
        if update == "latent" or self.config.styles == 1 or self.config.style_mixing == 0:
            return Draw(z, noise)
        active = 2 * (self.level + 1)
        cutoff = tf.random.stateless_uniform([], seeds[3], 1, active + 1, tf.int32)
        mixing = tf.random.stateless_uniform([], seeds[4]) < self.config.style_mixing
        return Draw(z, noise, z_mixed, tf.where(mixing, cutoff, active))

    def own(self, values: tf.Tensor) -> tf.Tensor:
        """This replica's part of values drawn for the whole batch."""
        context = tf.distribute.get_replica_context()
        share = self.batch // context.num_replicas_in_sync
        start = context.replica_id_in_sync_group * share
        return tf.slice(values, [start, *[0] * (values.shape.rank - 1)], [share, *values.shape[1:]])


def fade_images(x: tf.Tensor, level: int, blend: tf.Tensor) -> tf.Tensor:
    """While a level fades in, images fade in too, from their next coarser version."""
    return x if level == 0 else ops.lerp(ops.upsample2(ops.downsample2(x)), x, blend)
