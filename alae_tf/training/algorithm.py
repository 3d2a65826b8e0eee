"""Algorithm 1 of the paper: an iteration is a few updates, each a loss and the networks it moves.

To add an update, write its loss in a file of its own and put its `Update` into `UPDATES`;
`--updates` then selects it. Another package adds its own as a plug-in (`alae_tf.system.plugins`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from alae_tf.config import Config, ConfigError
from alae_tf.networks import ops
from alae_tf.system import plugins
from alae_tf.training import losses
from alae_tf.training.draws import Draw
from alae_tf.training.gradients import Gradients


@dataclasses.dataclass(frozen=True)
class Update:
    """One update of an iteration.

    Args:
        name: in `--updates`, in the progress bar and, as loss_NAME, in metrics.csv.
        label: in the loss plot.
        loss: (iteration, real images [N, H, W, C] in [−1, 1], draw) → (loss of each example [N],
            w [N, latent] of the images that it generated).
        moves: config → the networks that move, letters of "FGED". E and D move by one optimizer,
            F and G by the other.
        mixes: whether the images it generates may mix the styles of two z.
    """

    name: str
    label: str
    loss: Callable[[Iteration, tf.Tensor, Draw], tuple[tf.Tensor, tf.Tensor]]
    moves: Callable[[Config], str]
    mixes: bool = True


def tell_real_from_fake(it: Iteration, real: tf.Tensor, draw: Draw):
    """Update 1: E and D tell real images from generated ones. A separate D does so alone; E then
    has no gradient."""
    fake, w = it.generate(draw)
    logits, penalty = losses.logits_and_r1(it.logits, real, it.gamma, it.gradients.scale)
    fake_logits = it.logits(tf.stop_gradient(fake))
    return losses.discriminator_loss(fake_logits, logits) + penalty, w


def pass_for_real(it: Iteration, real: tf.Tensor, draw: Draw):
    """Update 2: F and G draw images that the discriminator takes for real."""
    fake, w = it.generate(draw)
    return losses.generator_loss(it.logits(fake)), w


def find_w_again(it: Iteration, real: tf.Tensor, draw: Draw):
    """Update 3: E finds the w that G drew from, or its z, and G keeps it findable."""
    fake, w = it.generate(draw)
    sought = w if it.config.latent_regression == "w" else draw.z
    return losses.latent_loss(sought, it.encode(fake)), w


UPDATES = [
    Update("d", "1: E, D (with R1)", tell_real_from_fake, lambda config: "ED"),
    Update("g", "2: F, G", pass_for_real, lambda config: "FG"),
    Update(
        "latent",
        "3: latent reconstruction",
        find_w_again,
        lambda config: config.latent_update,
        mixes=False,
    ),
]


def chosen(config: Config) -> list[Update]:
    """The updates of an iteration, in the order of `--updates`.

    Raises:
        ConfigError: one is unknown.
        PluginError: a plug-in with further updates cannot be imported.
    """
    plugins.load("alae_tf.training")
    known = {update.name: update for update in UPDATES}
    if unknown := [name for name in config.updates if name not in known]:
        raise ConfigError(f"--updates: {unknown[0]!r} is unknown; known are {', '.join(known)}.")
    return [known[name] for name in config.updates]


class Iteration:
    """One iteration of Algorithm 1 on one replica's share of the batch.

    Args:
        trainer: has the networks, their EMA and the optimizers.
        level: int. The level at which the networks work.
        blend: float or scalar tensor in [0, 1]. How much of that level is faded in.
        batch: int. Images of all replicas together, by which losses are divided.
        r1: whether this iteration takes R1.

    Call:
        real: float32 [N, H, W, C] in [−1, 1].
        draws: a `Draw` for each update, by name.
        Returns this replica's share of each loss, by name; the sum over replicas is the mean over
        the batch.
    """

    def __init__(self, trainer, level: int, blend: float | tf.Tensor, batch: int, r1: bool):
        self.config, self.alae, self.ema = trainer.config, trainer.alae, trainer.ema
        self.updates, self.level, self.blend, self.batch = trainer.updates, level, blend, batch
        self.gamma = self.config.r1_gamma * self.config.r1_every if r1 else 0.0
        self.gradients = Gradients(trainer, batch)

    def __call__(self, real: tf.Tensor, draws: dict[str, Draw]) -> dict[str, tf.Tensor]:
        result = {
            update.name: self.make(update, real, draws[update.name]) for update in self.updates
        }
        self.update_ema()
        return result

    def make(self, update: Update, real: tf.Tensor, draw: Draw) -> tf.Tensor:
        """One update: the gradients of its loss, a step of the networks that it moves, w_avg."""
        networks = update.moves(self.config)
        loss, w_sum, gradients = self.gradients(
            lambda real, draw: update.loss(self, real, draw), networks, real, draw
        )
        self.gradients.apply(networks, gradients)
        self.update_w_avg(w_sum)
        return loss

    def generate(self, draw: Draw) -> tuple[tf.Tensor, tf.Tensor]:
        """G∘F: (images [N, H, W, C], their w [N, latent], before any style mixing)."""
        w = self.alae.F(self.gradients.after_last(draw.z))
        styles = self.alae.broadcast(w)
        if draw.z_mixed is not None:
            styles = self.alae.mix(styles, self.alae.map(draw.z_mixed), draw.cutoff)
        return self.alae.decode(styles, self.level, self.blend, draw.noise), w

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """E: images → what E finds, w or, with z regression, z. [N, latent]."""
        return self.alae.E(x, level=self.level, blend=self.blend)

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """D∘E, or a separate D. [N]."""
        return self.alae.logits(x, self.level, self.blend)

    def update_w_avg(self, w_sum: tf.Tensor) -> None:
        """w_avg follows the mean w of the batch, at each update."""
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
