"""The networks being trained, their EMA, the optimizers, and the traced step that moves them."""

from __future__ import annotations

import tensorflow as tf

from alae_tf.config import Config
from alae_tf.features.lpips import Lpips
from alae_tf.networks import ops
from alae_tf.networks.alae import build_alae
from alae_tf.training import algorithm, draws, machine
from alae_tf.training.augment import Augmentation
from alae_tf.training.optimizer import LossScale, LREQAdam


class Trainer:
    """The networks, the EMA of their weights, the two optimizers, and the step that moves them.

    Args:
        strategy: a tf.distribute strategy; default: the current one (a single device).
        winograd: whether to compute convolutions with fewer multiplications where that is faster
            (`alae_tf.training.machine`); default: only without a GPU, whose libraries choose their
            own algorithms.
        dtype: dtype of the weights and optimizers, see `build_alae`.

    Attributes:
        updates: the updates of an iteration.
        moved: letters of the networks that they move.
        lpips: LPIPS, if update 4 uses it, else None.
        frozen: the ids of variables that no update moves, `--freeze`.
        alae: the networks being trained.
        ema: the EMA of their weights, which is evaluated and exported.
        optimizer_ed, optimizer_fg: the optimizer of E and D, and that of F and G.
        loss_scale: the loss scale of float16; None with other precisions.
        augment: the augmentation; None with --augment=none.
        traces: level → how often its step was traced.

    Raises:
        ConfigError: `--updates` names an unknown update, or the weights of LPIPS are missing.
    """

    def __init__(
        self,
        config: Config,
        strategy: tf.distribute.Strategy | None = None,
        winograd: bool | None = None,
        dtype: str = "float32",
    ):
        self.config, self.updates = config, algorithm.chosen(config)
        self.moved = {letter for update in self.updates for letter in update.moves(config)}
        self.lpips = None
        if config.reconstruction and config.reconstruction_distance == "lpips":
            self.lpips = Lpips("alex")  # takes a fraction of the time of G
        self.strategy = strategy or tf.distribute.get_strategy()
        if winograd is None:
            winograd = not tf.config.list_logical_devices("GPU")
        with self.strategy.scope():
            self.alae = build_alae(config, dtype=dtype)
            self.ema = build_alae(config, dtype=dtype)
            for average, weight in zip(self.ema.variables, self.alae.variables, strict=True):
                average.assign(weight)
            self.augment = Augmentation(config) if config.augment != "none" else None
            self.loss_scale = LossScale() if config.precision == "float16" else None
            gate = self.loss_scale and self.loss_scale.gate
            beta_2 = config.adam_beta_2
            self.optimizer_ed = LREQAdam(beta_2=beta_2, gate=gate, name="optimizer_ed")
            self.optimizer_fg = LREQAdam(beta_2=beta_2, gate=gate, name="optimizer_fg")
            F, G, E, D = self.alae.F, self.alae.G, self.alae.E, self.alae.D
            self.optimizer_ed.build(E.trainable_variables + D.trainable_variables)
            self.optimizer_fg.build(F.trainable_variables + G.trainable_variables)
        if winograd:
            machine.speed_up(self.alae)
        letter, count = config.frozen
        network = getattr(self.alae, letter)
        # The first blocks, and the layers that feed an image into them.
        frozen = [*network.blocks[:count], *network.from_rgb[:count]] if count else []
        self.frozen = {id(v) for part in frozen for v in part.trainable_variables}
        self.traces: dict[int, int] = {}
        self._steps = {}

    def set_learning_rate(self, level: int) -> None:
        for optimizer in (self.optimizer_ed, self.optimizer_fg):
            optimizer.learning_rate = self.config.learning_rate(level)

    def reset_optimizers(self) -> None:
        for optimizer in (self.optimizer_ed, self.optimizer_fg):
            optimizer.reset()

    def step(
        self, pixels, level: int, images_seen: int, blend: float, stop: bool = False
    ) -> dict[str, tf.Tensor]:
        """One iteration at `level`.

        Args:
            pixels: uint8 [batch, H, W, C], the global batch, or the strategy's per-replica values.
            level: int. The step is traced once for each level.
            images_seen: images before this iteration; with the config's seed it fixes all draws.
            blend: in [0, 1].
            stop: whether this worker has been asked to stop.

        Returns:
            The loss of each update by name, float32 scalars, means over the global batch; and
            "stop", above 0 if any worker has been asked to stop.
        """
        every = self.config.r1_every
        r1 = every == 1 or (images_seen // self.config.batch_size(level)) % every == 0
        seed = tf.constant([self.config.seed, images_seen], tf.int64)
        blend, stop = (tf.constant(float(value), tf.float32) for value in (blend, stop))
        return self.traced(level, r1)(pixels, seed, blend, stop)

    def traced(
        self, level: int, r1: bool = True, batch: int | None = None
    ) -> tf.types.experimental.PolymorphicFunction:
        """The step at a level: (pixels, seed [2], blend, stop) → losses, with R1 or without, for a
        global batch (default: the config's at the level)."""
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
            iteration = algorithm.Iteration(self, level, blend, batch, r1)
            real = fade_images(ops.to_unit(pixels), level, blend)
            losses = iteration(real, self._draw(level, batch, seed))
            return losses | {"stop": tf.identity(stop)}  # as a value of this replica

        return step

    def _draw(self, level: int, batch: int, seed: tf.Tensor) -> dict[str, draws.Draw]:
        """The random numbers of an iteration for this replica, by update. Every replica draws for
        the whole batch and takes its share: a run is the same on any number of replicas."""
        context = tf.distribute.get_replica_context()
        share = batch // context.num_replicas_in_sync
        start = context.replica_id_in_sync_group * share

        def own(x):
            return tf.slice(x, [start, *[0] * (x.shape.rank - 1)], [share, *x.shape[1:]])

        return {
            update.name: draws.draw(
                self.config, self.alae, level, batch, tf.random.fold_in(seed, i), update.mixes
            ).of_examples(own)
            for i, update in enumerate(self.updates)
        }


def fade_images(x: tf.Tensor, level: int, blend: tf.Tensor) -> tf.Tensor:
    """Real images while a level fades in: interpolated between their coarser version (blend 0) and
    themselves (blend 1)."""
    return x if level == 0 else ops.lerp(ops.upsample2(ops.downsample2(x)), x, blend)
