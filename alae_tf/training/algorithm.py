"""Algorithm 1 of the paper. One iteration is three updates, each a loss and the networks it moves:

    1. E, D:  softplus(D(E(G(F(z))))) + softplus(−D(E(x))) + γ/2 · ‖∂D(E(x))/∂x‖²
    2. F, G:  softplus(−D(E(G(F(z)))))
    3. E, G:  mean (E(G(w)) − w)², where w = F(z)

`--reconstruction`, which is not in the paper, adds a fourth:

    4. E:     weight · (distance(x, G(E(x))) + pixels · mean (x − G(E(x)))²)

Each update draws its own z and noise. To add an update, write its loss and append an `Update` to
`UPDATES`, below or from a plug-in (`alae_tf.system.plugins`); `--updates` then selects it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from alae_tf.config import Config, ConfigError
from alae_tf.features import lpips, weights
from alae_tf.features.weights import EvaluationError
from alae_tf.networks import ops
from alae_tf.system import plugins
from alae_tf.training import losses
from alae_tf.training.draws import Draw
from alae_tf.training.gradients import Gradients

Loss = tuple[tf.Tensor, dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Update:
    """One update of an iteration.

    Args:
        name: in `--updates`, in the progress bar and, as loss_NAME, in metrics.csv.
        label: in the loss plot.
        loss: (iteration, real images [N, H, W, C] in [−1, 1], draw) → (loss of each example [N],
            what the iteration adds up over examples: "w" [N, latent] of the generated images for
            w_avg, "sign" [N] of the logits of real images for `--augment=ada`).
        moves: config → the networks that move, letters of "FGED". One optimizer moves E and D,
            another F and G.
        mixes: whether generated images may mix the styles of two z.
    """

    name: str
    label: str
    loss: Callable[[Iteration, tf.Tensor, Draw], Loss]
    moves: Callable[[Config], str]
    mixes: bool = True


def loss_d(it: Iteration, real: tf.Tensor, draw: Draw) -> Loss:
    """Update 1: D∘E learns to distinguish real images from generated ones. With a separate D,
    which takes images itself, E has no gradient and stays as it is."""
    fake, w = it.generate(draw)
    judge = functools.partial(it.judge, numbers=draw.augment_real)
    logits, penalty = losses.logits_and_r1(judge, real, it.gamma, it.gradients.scale)
    fake_logits = it.judge(tf.stop_gradient(fake), draw.augment_fake)
    loss = losses.discriminator_loss(fake_logits, logits) + penalty
    return loss, {"w": w, "sign": tf.sign(logits)}


def loss_g(it: Iteration, real: tf.Tensor, draw: Draw) -> Loss:
    """Update 2: G∘F learns to generate images that the discriminator takes for real."""
    fake, w = it.generate(draw)
    return losses.generator_loss(it.judge(fake, draw.augment_fake)), {"w": w}


def loss_latent(it: Iteration, real: tf.Tensor, draw: Draw) -> Loss:
    """Update 3: E learns to recover w (with z regression, z) from G's image, and G to keep it
    recoverable."""
    fake, w = it.generate(draw)
    target = w if it.config.latent_regression == "w" else draw.z
    return losses.latent_loss(target, it.encode(fake)), {"w": w}


def loss_reconstruction(it: Iteration, real: tf.Tensor, draw: Draw) -> Loss:
    """Update 4, `--reconstruction`: E learns to find the code from which G draws the photograph.

    In Algorithm 1 E learns to recover codes only from G's own images. The codes that it finds for
    photographs are of another kind, and G draws other people from them.
    Reference: in one model with adversarial training, Han et al., AE-StyleGAN, WACV 2022.
    """
    config, (styles, corrections) = it.config, it.alae.codes(real, it.level, it.blend)
    drawn = it.alae.decode(styles, it.level, it.blend, draw.noise)
    loss = it.distance(real, drawn)
    loss += config.reconstruction_pixels * tf.reduce_mean((drawn - real) ** 2, [1, 2, 3])
    if corrections is not None:
        loss += config.correction_pull * tf.reduce_mean(corrections**2, [1, 2])
    return config.reconstruction * loss, {}


UPDATES = [
    Update("d", "1: E, D (with R1)", loss_d, moves=lambda config: "ED"),
    Update("g", "2: F, G", loss_g, moves=lambda config: "FG"),
    Update(
        "latent", "3: latent reconstruction", loss_latent, lambda c: c.latent_update, mixes=False
    ),
    Update(
        "reconstruction",
        "4: image reconstruction",
        loss_reconstruction,
        moves=lambda config: config.reconstruction_update,
        mixes=False,
    ),
]


class Iteration:
    """One iteration of Algorithm 1 on one replica's share of the batch.

    Args:
        level: int. The level at which the networks work.
        blend: float or scalar tensor in [0, 1]: how much of that level is faded in.
        batch: int. The global batch, by which losses are divided.
        r1: whether this iteration includes the R1 penalty.

    Call:
        real: float32 [N, H, W, C] in [−1, 1].
        draws: a `Draw` for each update, by name.
        Returns this replica's share of each loss, by name; the sum over replicas is the mean over
        the batch.
    """

    def __init__(self, trainer, level: int, blend: float | tf.Tensor, batch: int, r1: bool):
        self.config, self.alae, self.ema = trainer.config, trainer.alae, trainer.ema
        self.updates, self.moved, self.lpips = trainer.updates, trainer.moved, trainer.lpips
        self.augment = trainer.augment
        self.level, self.blend, self.batch = level, blend, batch
        self.gamma = self.config.r1_gamma * self.config.r1_every if r1 else 0.0
        self.gradients = Gradients(trainer, batch)

    def __call__(self, real: tf.Tensor, draws: dict[str, Draw]) -> dict[str, tf.Tensor]:
        result = {}
        for update in self.updates:
            result[update.name] = self.carry_out(update, real, draws[update.name])
        self.update_ema()
        return result

    def carry_out(self, update: Update, real: tf.Tensor, draw: Draw) -> tf.Tensor:
        """Moves the networks of one update along the gradients of its loss, and w_avg towards the
        mean w of the batch; returns the loss."""
        networks = update.moves(self.config)
        loss, sums, gradients = self.gradients(
            lambda real, draw: update.loss(self, real, draw), networks, real, draw
        )
        self.gradients.apply(networks, gradients)
        if "w" in sums and "F" in self.moved:
            w_avg, w = tf.convert_to_tensor(self.alae.w_avg), self.mean(sums["w"])
            self.alae.w_avg.assign(ops.lerp(w, w_avg, self.config.w_avg_decay))
        if "sign" in sums and self.config.augment == "ada":
            self.augment.adapt(self.mean(sums["sign"]), self.batch)
        return loss

    def generate(self, draw: Draw) -> tuple[tf.Tensor, tf.Tensor]:
        """G∘F: (images [N, H, W, C], their w [N, latent] before style mixing)."""
        w = self.alae.F(self.gradients.after_last(draw.z))
        styles = self.alae.broadcast(w)
        if draw.z_mixed is not None:
            styles = self.alae.mix(styles, self.alae.map(draw.z_mixed), draw.cutoff)
        return self.alae.decode(styles, self.level, self.blend, draw.noise), w

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """E: images → w or, with z regression, z. [N, latent]."""
        return self.alae.E(x, level=self.level, blend=self.blend)

    def judge(self, x: tf.Tensor, numbers: tf.Tensor | None) -> tf.Tensor:
        """D∘E, or a separate D: images, augmented by these numbers → logits [N]."""
        x = x if numbers is None else self.augment(x, numbers)
        return self.alae.logits(x, self.level, self.blend)

    def distance(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The perceptual distance of `--reconstruction_distance`: pairs of images → [N]."""
        if self.lpips is not None:
            return self.lpips.distance_graph(lpips.prepare(x), lpips.prepare(y))
        maps = (self.ema.E.maps(image, self.level, self.blend) for image in (x, y))
        return losses.perceptual_distance(*maps)

    def mean(self, total: tf.Tensor) -> tf.Tensor:
        """The mean over the global batch of a sum over this replica's share."""
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, total / self.batch)

    def update_ema(self) -> None:
        """Moves the EMA towards the weights; w_avg, already a running mean, is copied."""
        decay = 0.5 ** (self.batch / self.config.ema_images)
        pairs = zip(self.alae.trainable_variables, self.ema.trainable_variables, strict=True)
        for weight, average in pairs:
            average.assign_add((1.0 - decay) * (weight - average))
        self.ema.w_avg.assign(self.alae.w_avg)


def chosen(config: Config) -> list[Update]:
    """The updates of an iteration, in the order of `--updates`. `--reconstruction` adds its update
    at the end, unless `--updates` names it.

    Raises:
        ConfigError: an update is unknown, "reconstruction" is named without a weight, or the file
            of its perceptual distance is missing or is another one.
        PluginError: a plug-in with further updates cannot be imported.
    """
    plugins.load("alae_tf.training")
    known = {update.name: update for update in UPDATES}
    if unknown := [name for name in config.updates if name not in known]:
        raise ConfigError(f"--updates: {unknown[0]!r} is unknown; known are {', '.join(known)}.")
    names = list(config.updates)
    if config.reconstruction:
        names = list(dict.fromkeys([*names, "reconstruction"]))
    elif "reconstruction" in names:
        raise ConfigError(
            f"--reconstruction=0: --updates={','.join(names)} needs a weight for its update "
            "reconstruction, for example --reconstruction=1."
        )
    if config.reconstruction and config.reconstruction_distance == "lpips":
        try:
            weights.find(weights.LPIPS_ALEX)
        except EvaluationError as error:
            raise ConfigError(
                f"--reconstruction_distance=lpips: {error} --reconstruction_distance=encoder "
                "needs no file."
            ) from None
    return [known[name] for name in names]
