"""The settings of a run: a frozen, checked record that is stored as a flagfile."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from pathlib import Path

from alae_tf.config import flagfile
from alae_tf.config.architecture import ARCHITECTURES, Architecture, Check
from alae_tf.config.settings import check, from_text, setting, to_text
from alae_tf.system.errors import ConfigError

# A setting's name in the first version → its name now; runs of the first version still load.
RENAMED = {"slow_copy_images": "ema_images"}
# The groups of settings, in the order of the record and of --help.
GROUPS = {
    "data": "the images",
    "model": "the networks and their sizes",
    "schedule": "length of training, batch and learning rate",
    "optimisation": "losses, optimizers and precision",
    "run": "hardware, checkpoints, logs and measurements",
}
of_data, of_model, of_schedule, of_optimisation, of_run = (
    functools.partial(setting, group) for group in GROUPS
)

OF_UPDATE_4 = (
    *("reconstruction_update", "reconstruction_distance", "reconstruction_pixels"),
    "correction_pull",
)
# --augment → the settings of augmentation that it does not read.
UNREAD = {
    "none": ("augment_operations", "augment_p", "augment_target", "augment_images"),
    "fixed": ("augment_target", "augment_images"),
    "ada": ("augment_p",),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run: data, networks, schedule and training.

    Every field is a flag of the same name (`alae_tf.config.flags`). Fields named `…_by_level` have
    one entry per level; the last entry also applies to all higher levels. Names in [brackets] are
    those of the same settings in the authors' config files. Raises ConfigError if a value is out of
    range, or two values conflict.
    """

    data: str = of_data(
        "mnist5k:",
        "The images: mnist5k: (5,000 digits, no download), idx:DIR (files in MNIST's format), "
        "folder:DIR (image files; DIR may be a .zip or .tar), tfds:NAME (TensorFlow Datasets), "
        "tfrecord:DIR (files written by alae_tf.prepare or StyleGAN's tool). Options of "
        "folder:DIR, joined by &: ?channels=1 reads grey images, ?test=DIR holds out the images of "
        "another folder, ?test=0.1 holds out about a tenth of the images, ?labels=folders makes "
        "each subfolder a class. DIR may be a URL, for example s3://bucket/faces; TFRecords are "
        "then read by ranges, other files are downloaded.",
    )
    image_channels: int = of_data(1, "Channels of the images: 1 (grey) or 3 (RGB).")
    flip: bool = of_data(True, "Mirror images left-right at random. Switch off for digits.")

    architecture: str = of_model(
        "style",
        "style: StyleALAE, convolutional, grown level by level; mlp: the permutation-invariant "
        "MLP-ALAE of the paper's MNIST table.",
        choices=ARCHITECTURES,
    )
    levels: int = of_model(
        4,
        "style: number of resolutions, from 4 to 2^(levels+1) pixels [LAYER_COUNT]. mlp: 1.",
        "[1, 9]",
    )
    start_channels: int = of_model(
        64, "style: channels at full resolution [START_CHANNEL_COUNT].", "[1, 16384]"
    )
    max_channels: int = of_model(
        256, "style: largest number of channels in a layer [MAX_CHANNEL_COUNT].", "[1, 16384]"
    )
    image_size: int = of_model(28, "mlp: side of the square images, in pixels.", "[1, 1024]")
    hidden_size: int = of_model(
        1024, "mlp: width of the two hidden layers of E and of G.", "[1, 65536]"
    )
    output_slope: float = of_model(
        0.2,
        "mlp: negative slope of leaky ReLU in G and after E's last layer. 0.2 is the authors' "
        "default; their MNIST run used 0.01.",
        "[0, 1)",
    )
    latent_size: int = of_model(256, "Length of z and of w [LATENT_SPACE_SIZE].", "[1, 65536]")
    mapping_layers: int = of_model(
        8, "Layers of F, the mapping network [MAPPING_LAYERS].", "[1, 256]"
    )
    discriminator: str = of_model(
        "joint",
        "The discriminator of real and generated images. joint: D(E(x)), as in the paper. "
        "separate: a network of its own, shaped like E without styles; only update 3 trains E.",
        choices=("joint", "separate"),
    )
    encoder_head: str = of_model(
        "styles",
        "style: how E computes w. styles: the sum of projected styles, as in the paper. dense: a "
        "dense layer on the last feature map, without styles (an ablation). readout: the sum of "
        "projected styles of D's feature maps (an ablation; requires --discriminator=separate).",
        choices=("styles", "dense", "readout"),
    )
    encoder_codes: str = of_model(
        "w",
        "style: what E computes. w: as in the paper. layers: w, and a correction of it for each "
        "layer of G, which update 4 trains (not in the paper).",
        choices=("w", "layers"),
    )

    epochs: float = of_schedule(
        60.0, "Length of the whole run, in passes over the training images.", "(0, 1e9]"
    )
    epochs_by_level: tuple[float, ...] = of_schedule(
        (10.0,),
        "style: passes over the training images at each level; the last level continues until "
        "--epochs. From level 1 on, a level fades in during the first half of its passes "
        "[EPOCHS_PER_LOD].",
        "(0, 1e9]",
    )
    batch_by_level: tuple[int, ...] = of_schedule(
        (128,),
        "Images per iteration, on all replicas together, by level [LOD_2_BATCH_8GPU].",
        "[1, 1048576]",
    )
    learning_rate_by_level: tuple[float, ...] = of_schedule(
        (0.0015,), "Learning rate by level.", "(0, 1e30]"
    )

    adam_beta_2: float = of_optimisation(
        0.99, "Decay of the mean squared gradient in Adam; beta 1 is 0.", "[0, 1)"
    )
    updates: tuple[str, ...] = of_optimisation(
        ("d", "g", "latent"),
        "Updates of an iteration, in order. d, g, latent: those of the paper's Algorithm 1; "
        "plug-ins can add others (see alae_tf.training.algorithm).",
    )
    latent_update: str = of_optimisation(
        "EG",
        "Networks that update 3, the latent reconstruction, trains. EG: as in the paper. EFG: as "
        "in the authors' code, which also trains F through G's input. E: for refining the encoder "
        "of a trained model.",
        choices=("EG", "EFG", "E"),
    )
    latent_regression: str = of_optimisation(
        "w",
        "The code that E reconstructs in update 3. w: as in the paper. z: E estimates z, and w is "
        "F(E(x)) (an ablation).",
        choices=("w", "z"),
    )
    reconstruction: float = of_optimisation(
        0.0,
        "Weight of update 4, which the paper does not have: it compares a real image x with "
        "G(E(x)). 0: no update 4. 1 suits a trained model (see --init_from).",
        "[0, 1e6]",
    )
    reconstruction_update: str = of_optimisation(
        "E",
        "Networks that update 4 trains. E: what G draws does not change. EG: G also learns to draw "
        "real images, which needs updates 1 and 2 as a counterweight.",
        choices=("E", "EG"),
    )
    reconstruction_distance: str = of_optimisation(
        "lpips",
        "Perceptual distance of update 4. lpips: LPIPS with AlexNet (the extra `metrics`). "
        "encoder: between feature maps of E's EMA, which needs no file and suits any images.",
        choices=("lpips", "encoder"),
    )
    reconstruction_pixels: float = of_optimisation(
        2.0,
        "Weight of the squared error of pixels in update 4; the perceptual distance has weight 1.",
        "[0, 1e6]",
    )
    correction_pull: float = of_optimisation(
        0.1,
        "With --encoder_codes=layers: weight of the squared corrections in update 4. A larger "
        "weight keeps the codes of the layers together, which makes edits work better.",
        "[0, 1e6]",
    )
    freeze: str = of_optimisation(
        "",
        "style, with --init_from: d:N freezes the first N blocks of the discriminator, counted "
        "from the image, and e:N those of E. Without a separate D, both mean E. Set it for few "
        "images, which the discriminator would memorise.",
    )
    r1_gamma: float = of_optimisation(
        10.0, "Weight of R1, the gradient penalty on real images. 0: no penalty.", "[0, 1e30]"
    )
    r1_every: int = of_optimisation(
        1,
        "Compute R1 only in every N-th iteration, N times as strong (StyleGAN2's lazy "
        "regularisation). 1: as in the paper; 4 or more saves about a quarter of the work.",
        "[1, 1e6]",
    )
    augment: str = of_optimisation(
        "none",
        "Augment the real and generated images that the discriminator sees, against overfitting to "
        "few images. none: no augmentation, as in the paper. fixed: with probability --augment_p. "
        "ada: with a probability that adapts, as in StyleGAN2-ADA.",
        choices=("none", "fixed", "ada"),
    )
    augment_operations: tuple[str, ...] = of_optimisation(
        ("geometry", "colour"),
        "What augmentation changes. geometry: mirrors, turns, shifts and scales images. colour: "
        "changes their brightness, contrast, hue and saturation.",
    )
    augment_p: float = of_optimisation(
        0.2, "With --augment=fixed: the probability of each operation.", "[0, 1]"
    )
    augment_target: float = of_optimisation(
        0.6,
        "With --augment=ada: the target for the mean sign of D's logits of training images (1 if D "
        "takes all of them for real, 0 if half of them). Above it, the probability rises; below "
        "it, the probability falls. Lower the target for very few images.",
        "(-1, 1)",
    )
    augment_images: float = of_optimisation(
        500_000.0,
        "With --augment=ada: number of images in which the probability can rise from 0 to 1. "
        "Decrease it for short runs.",
        "(0, 1e12]",
    )
    style_mixing: float = of_optimisation(
        0.9,
        "style: probability that, in updates 1 and 2, a batch takes its styles after a random "
        "layer from a second z.",
        "[0, 1]",
    )
    w_avg_decay: float = of_optimisation(0.995, "Decay of w_avg, the running mean of w.", "[0, 1)")
    ema_images: float = of_optimisation(
        10000.0,
        "Half-life of the EMA of the weights, in images; its decay is 0.5^(batch / ema_images).",
        "(0, 1e12]",
    )
    precision: str = of_optimisation(
        "float32",
        "Type of convolutions and activations; weights, statistics, styles, w and losses stay "
        "float32. bfloat16 or float16 is faster on hardware that supports it. float16 scales the "
        "losses and skips updates whose gradients overflow.",
        choices=("float32", "bfloat16", "float16"),
    )
    tf32: bool = of_optimisation(
        True,
        "Let NVIDIA GPUs from Ampere on round the factors of float32 products to 10 bits "
        "(TensorFloat-32): faster, and TensorFlow's default. Switch off if training diverges only "
        "on these GPUs. Evaluation, loaded models and export always compute in true float32.",
    )

    seed: int = of_run(
        0,
        "Seed of all random numbers. On one machine, the same seed gives the same run to the bit.",
        "[0, 2147483647]",
    )
    init_from: str = of_run(
        "",
        "Run whose weights a new run starts from: its directory or URL, or the name of a shipped "
        "model. The networks must be the same, as with --flagfile=OTHER/config.cfg, or have more "
        "levels, with start_channels halved for each. The new run has new optimizers and starts at "
        "the level of these weights, fully faded in. If it adds levels and the other run had "
        "reached its last level, it starts at the first new level, which fades in. The length of "
        "the new run is --epochs.",
    )
    strategy: str = of_run(
        "auto",
        "mirrored: all GPUs of this machine, or its CPU; multi_worker: several machines that each "
        "run this command and find one another by TF_CONFIG, Slurm or Kubernetes; one_device: the "
        "first GPU, or the CPU; auto: multi_worker if TF_CONFIG names several workers, else "
        "mirrored.",
        choices=("auto", "mirrored", "multi_worker", "one_device"),
    )
    accumulate: int = of_run(
        1,
        "Number of parts into which to split each replica's batch. Gradients accumulate over the "
        "parts; the result is that of the whole batch. Increase it when memory runs out.",
        "[1, 1048576]",
    )
    xla: bool = of_run(
        False,
        "Compile the forward and backward passes with XLA. Measure first: on CPUs it speeds up "
        "mlp and slows down style.",
    )
    max_hours: float = of_run(
        0.0,
        "Hours after which to save and stop with exit code 75, for schedulers with a time limit; "
        "the same command continues the run. 0: no limit.",
        "[0, 1e6]",
    )
    checkpoint_minutes: float = of_run(
        10.0,
        "Minutes between checkpoints, which are also written at the start of each level and at "
        "the end.",
        "(0, 1e8]",
    )
    keep_checkpoints: int = of_run(
        3, "Number of checkpoints to keep; older ones are deleted.", "[1, 1e6]"
    )
    sample_images: int = of_run(100_000, "Images between two sample grids.", "[1, 1e12]")
    log_images: int = of_run(
        2_000, "Images between two rows of metrics.csv and TensorBoard.", "[1, 1e12]"
    )
    evaluate_images: int = of_run(
        0,
        "Images between two measurements of --evaluate_metrics. 0: a few measurements in each "
        "level, as long as they take less than 5 % of the time.",
        "[0, 1e12]",
    )
    evaluate_metrics: str = of_run(
        "fd_lpips",
        "Metrics to measure during training (see alae_tf.evaluate --help); values go to "
        "metrics.csv, TensorBoard and results.jsonl. The checkpoint with the best value of the "
        "first metric is kept. none: no measurements.",
    )
    evaluate_count: int = of_run(
        500,
        "Number of generated images to measure, and of real ones, unless there are fewer.",
        "[4, 1e9]",
    )
    truncation_psi: float = of_run(
        0.7, "Truncation in sample grids: w_avg + psi (w - w_avg). 1: no truncation.", "[0, 2]"
    )
    truncation_cutoff: int = of_run(
        8, "The first style that is not truncated in sample grids.", "[0, 1e6]"
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        for holds, name, right in (*self.kind.check(self), *self._checks()):
            if not holds:
                raise ConfigError(f"--{name}={to_text(getattr(self, name))}: must be {right}.")

    def _checks(self) -> typing.Iterator[Check]:
        yield self.image_channels in (1, 3), "image_channels", "1 (grey) or 3 (RGB)"
        known = set(self.augment_operations) <= {"geometry", "colour"}
        yield known, "augment_operations", "geometry, colour, or both"
        for other in ARCHITECTURES.values():
            for name in set(other.settings) - set(self.kind.settings):
                right = f"omitted with --architecture={self.architecture}, which does not use it"
                yield self._is_default(name), name, right
        right = f"1 to {self.levels} numbers with --levels={self.levels}"
        for name in ("epochs_by_level", "batch_by_level", "learning_rate_by_level"):
            yield 1 <= len(getattr(self, name)) <= self.levels, name, right

    def _is_default(self, name: str) -> bool:
        return getattr(self, name) == type(self).__dataclass_fields__[name].default

    @property
    def kind(self) -> Architecture:
        """The record of the architecture."""
        return ARCHITECTURES[self.architecture]

    @property
    def resolution(self) -> int:
        """Full resolution, in pixels."""
        return self.level_resolution(self.levels - 1)

    @property
    def styles(self) -> int:
        """Number of style vectors that G takes."""
        return self.kind.styles(self)

    def level_resolution(self, level: int) -> int:
        """Resolution at `level`, in pixels."""
        return self.kind.resolution(self, level)

    def batch_size(self, level: int) -> int:
        """Global batch at `level`."""
        return by_level(self.batch_by_level, level)

    def learning_rate(self, level: int) -> float:
        """Learning rate at `level`."""
        return by_level(self.learning_rate_by_level, level)

    @property
    def frozen(self) -> tuple[str, int]:
        """--freeze: the network, "E" or "D", and the number of its blocks that are not trained."""
        letter, _, count = self.freeze.partition(":")
        separate = letter == "d" and self.discriminator == "separate"
        return "D" if separate else "E", int(count or 0)

    def replace(self, **changes: object) -> Config:
        """A copy with some fields changed, checked like a new one."""
        return dataclasses.replace(self, **changes)

    @property
    def turning(self) -> list[str]:
        """The flags by which images are mirrored or turned, as they are set."""
        geometry = self.augment != "none" and "geometry" in self.augment_operations
        chosen = {"flip": self.flip, "augment_operations": geometry}
        return [f"--{name}={to_text(getattr(self, name))}" for name, on in chosen.items() if on]

    @property
    def ignored(self) -> dict[str, str]:
        """Settings that are not at their defaults but have no effect: name → the setting that
        disables it."""
        found = dict.fromkeys(self.kind.ignored, f"--architecture={self.architecture}")
        if self.encoder_codes == "w":
            found["correction_pull"] = "--encoder_codes=w"
        if not self.reconstruction:
            found |= dict.fromkeys(OF_UPDATE_4, "--reconstruction=0")
        found |= dict.fromkeys(UNREAD[self.augment], f"--augment={self.augment}")
        return {name: why for name, why in found.items() if not self._is_default(name)}

    def to_flagfile(self) -> str:
        """The config as the text of a flagfile, with every field."""
        return "".join(
            f"--{field.name}={flagfile.quote(to_text(getattr(self, field.name)))}\n"
            for field in dataclasses.fields(self)
        )

    @classmethod
    def from_text(cls, values: typing.Mapping[str, str]) -> Config:
        """A config from texts by field name; raises ConfigError if a name is unknown, or a text is
        not a valid value."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise ConfigError(f"--{name}: no such setting; `--help` lists them all.")
        return cls(**{name: from_text(fields[name], text) for name, text in values.items()})

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Reads a flagfile (`alae_tf.config.flagfile`), also one of the project's first version;
        raises ConfigError if it cannot be read, or a setting is wrong."""
        from alae_tf.config import flags  # which imports this module

        arguments = flagfile.read(str(path))
        if not arguments:
            raise ConfigError(f"{path}: is empty; write settings, for example --levels=4.")
        for old, new in RENAMED.items():
            arguments = [re.sub(f"^--?{old}(?==|$)", f"--{new}", each) for each in arguments]
        try:
            return cls.from_text(flags.Parser("", None, add_help=False).texts(arguments)[1])
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def by_level(values: tuple, level: int):
    """The entry of a level; the last entry also applies to all higher levels."""
    return values[min(level, len(values) - 1)]
