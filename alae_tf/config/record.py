"""What a run is: one frozen record, checked when it is made, written as a flagfile.

No TensorFlow here: a config is read and checked in a few milliseconds.
"""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

from alae_tf.config import flagfile
from alae_tf.config.architecture import ARCHITECTURES, Architecture
from alae_tf.config.settings import check, from_text, setting, to_text
from alae_tf.system.errors import ConfigError

# What the first version called a setting → its name now. Runs of it still load.
RENAMED = {"slow_copy_images": "ema_images"}
# The settings' groups, in this order in the record and in --help.
GROUPS = {
    "data": "the images",
    "model": "the networks and their sizes",
    "schedule": "how long, how many images at a time, how fast",
    "optimisation": "the losses and how the weights follow them",
    "run": "on what it runs, what it saves and shows",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """The record of a run: what is built, on what it is trained, for how long, and how.

    Every field is a flag of the same name (`alae_tf.config.flags`). Lists "by level" give one
    entry for each level; the last one serves all further levels. Names in brackets are the
    authors'.

    Raises:
        ConfigError: a value is out of range, or two values do not go together.
    """

    data: str = setting(
        "data",
        "mnist5k:",
        "The images: mnist5k: (5,000 digits, no download), idx:DIR (files in MNIST's format), "
        "folder:DIR (image files), tfds:NAME (TensorFlow Datasets), tfrecord:DIR (what "
        "alae_tf.prepare or StyleGAN's tool wrote).",
    )
    image_channels: int = setting("data", 1, "Channels of the images: 1 (grey) or 3 (RGB).")
    flip: bool = setting("data", True, "Mirror images left-right at random; switch off for digits.")

    architecture: str = setting(
        "model",
        "style",
        "style: StyleALAE, convolutional, grown level by level; mlp: the permutation-invariant "
        "MLP-ALAE of the paper's MNIST table.",
        choices=ARCHITECTURES,
    )
    levels: int = setting(
        "model",
        4,
        "style: number of resolutions, 4 to 2^(levels+1) pixels [LAYER_COUNT]. mlp: 1.",
        within="[1, 9]",
    )
    start_channels: int = setting(
        "model",
        64,
        "style: channels at full resolution [START_CHANNEL_COUNT].",
        within="[1, 16384]",
    )
    max_channels: int = setting(
        "model", 256, "style: most channels of any layer [MAX_CHANNEL_COUNT].", within="[1, 16384]"
    )
    image_size: int = setting(
        "model", 28, "mlp: side of the square images, in pixels.", within="[1, 1024]"
    )
    hidden_size: int = setting(
        "model", 1024, "mlp: width of the two hidden layers of E and of G.", within="[1, 65536]"
    )
    output_slope: float = setting(
        "model",
        0.2,
        "mlp: slope of leaky ReLU in G and after E's last layer. 0.2 as in the released "
        "defaults; the authors' own MNIST run used 0.01.",
        within="[0, 1)",
    )
    latent_size: int = setting(
        "model", 256, "Length of z and of w [LATENT_SPACE_SIZE].", within="[1, 65536]"
    )
    mapping_layers: int = setting(
        "model", 8, "Layers of F, the mapping network [MAPPING_LAYERS].", within="[1, 256]"
    )
    discriminator: str = setting(
        "model",
        "joint",
        "What tells real images from generated ones. joint: D(E(x)), as in the paper. separate: an "
        "image discriminator of E's shape without styles; E is trained by update 3 alone.",
        choices=("joint", "separate"),
    )
    encoder_head: str = setting(
        "model",
        "styles",
        "style: how E ends. styles: w is the sum of projected styles, as in the paper. dense: w is "
        "a dense layer of the last feature map, without styles (an ablation).",
        choices=("styles", "dense"),
    )

    epochs: float = setting(
        "schedule",
        60.0,
        "Length of the whole run, in passes over the training images.",
        within="(0, 1e9]",
    )
    epochs_by_level: tuple[float, ...] = setting(
        "schedule",
        (10.0,),
        "style: passes over the images at each level; the last level goes on until --epochs. "
        "From level 1 on, its first half fades in [EPOCHS_PER_LOD].",
        within="(0, 1e9]",
    )
    batch_by_level: tuple[int, ...] = setting(
        "schedule",
        (128,),
        "Images an iteration, over all replicas, by level [LOD_2_BATCH_8GPU].",
        within="[1, 1048576]",
    )
    learning_rate_by_level: tuple[float, ...] = setting(
        "schedule", (0.0015,), "Learning rate by level.", within="(0, 1e30]"
    )

    adam_beta_2: float = setting(
        "optimisation",
        0.99,
        "Decay of the mean squared gradient; there is no first moment (beta 1 is 0).",
        within="[0, 1)",
    )
    updates: tuple[str, ...] = setting(
        "optimisation",
        ("d", "g", "latent"),
        "Updates of an iteration, in order: the three of the paper's Algorithm 1, or others that a "
        "package adds (alae_tf.training.algorithm).",
    )
    latent_update: str = setting(
        "optimisation",
        "EG",
        "Networks that move in update 3, the latent reconstruction. EG as in the paper's "
        "Algorithm 1; EFG as in the released code, where F moves too, through G's input.",
        choices=("EG", "EFG"),
    )
    latent_regression: str = setting(
        "optimisation",
        "w",
        "What E is to find in update 3. w, as in the paper; z: E gives z, and w is F(E(x)) (an "
        "ablation).",
        choices=("w", "z"),
    )
    r1_gamma: float = setting(
        "optimisation",
        10.0,
        "Weight of the gradient penalty R1 on real images; 0: none.",
        within="[0, 1e30]",
    )
    r1_every: int = setting(
        "optimisation",
        1,
        "R1 in every k-th iteration only, k times as strong (lazy regularisation of StyleGAN2): "
        "about a quarter less work at k = 4 or more; 1 is the paper.",
        within="[1, 1e6]",
    )
    style_mixing: float = setting(
        "optimisation",
        0.9,
        "style: probability that the later styles of a whole batch come from a second z, from a "
        "random layer on, in updates 1 and 2.",
        within="[0, 1]",
    )
    w_avg_decay: float = setting(
        "optimisation", 0.995, "Decay of w_avg, the running mean of w.", within="[0, 1)"
    )
    ema_images: float = setting(
        "optimisation",
        10000.0,
        "Half-life of the EMA of the weights, in images [0.5^(batch/10000)].",
        within="(0, 1e12]",
    )
    precision: str = setting(
        "optimisation",
        "float32",
        "bfloat16, float16: convolutions and activations in it, all else (weights, statistics, "
        "styles, w, losses) in float32; for hardware with units for it. float16 scales the losses "
        "and skips updates whose gradients overflow.",
        choices=("float32", "bfloat16", "float16"),
    )
    tf32: bool = setting(
        "optimisation",
        True,
        "Let NVIDIA GPUs from Ampere on round the factors of float32 products to 10 bits "
        "(TensorFloat-32), which is faster and TensorFlow's own default. Try false if training "
        "diverges on such a GPU alone. Evaluation, loaded models and export always compute in true "
        "float32.",
    )

    seed: int = setting(
        "run",
        0,
        "The same seed gives the same run, to the bit, on one machine.",
        within="[0, 2147483647]",
    )
    init_from: str = setting(
        "run",
        "",
        "Begin a new run with the weights of another: its directory, or a shipped model's name. "
        "The networks must be the same, as --flagfile=THERE/config.cfg has them; the run goes on "
        "where the level that they stand at is faded in, with new optimizers.",
    )
    strategy: str = setting(
        "run",
        "auto",
        "mirrored: all GPUs of this machine (or its CPU); multi_worker: several machines, each "
        "running this command, found by TF_CONFIG, Slurm or Kubernetes; one_device: the first "
        "GPU or the CPU; auto: multi_worker if TF_CONFIG names several workers, else mirrored.",
        choices=("auto", "mirrored", "multi_worker", "one_device"),
    )
    accumulate: int = setting(
        "run",
        1,
        "Parts into which each replica's share of the batch is cut, to need that much less "
        "memory; the gradients are added up, so the result is that of the whole batch.",
        within="[1, 1048576]",
    )
    xla: bool = setting(
        "run",
        False,
        "Compile the forward and backward passes with XLA. Measure first: on CPUs it helps "
        "the MLP and hurts the convolutions.",
    )
    max_hours: float = setting(
        "run",
        0.0,
        "Hours after which this process saves and stops with exit code 75, for schedulers with a "
        "time limit; the same command again goes on. 0: no limit.",
        within="[0, 1e6]",
    )
    checkpoint_minutes: float = setting(
        "run",
        10.0,
        "Minutes between checkpoints; also written at each level's start and at the end.",
        within="(0, 1e8]",
    )
    keep_checkpoints: int = setting(
        "run", 3, "Checkpoints kept; older ones are deleted.", within="[1, 1e6]"
    )
    sample_images: int = setting(
        "run", 100_000, "Images between two sample grids.", within="[1, 1e12]"
    )
    log_images: int = setting(
        "run",
        2_000,
        "Images between two rows of metrics.csv and TensorBoard.",
        within="[1, 1e12]",
    )
    evaluate_images: int = setting(
        "run",
        0,
        "Images between two measurements by `evaluate_metrics`; 0: none.",
        within="[0, 1e12]",
    )
    evaluate_metrics: str = setting(
        "run",
        "latent_cycle,psnr",
        "What is measured on the way, as `alae_tf.evaluate --metrics`; values go to metrics.csv, "
        "TensorBoard and results.jsonl.",
    )
    evaluate_count: int = setting(
        "run", 1_000, "Images of each kind that are measured on the way.", within="[4, 1e9]"
    )
    truncation_psi: float = setting(
        "run",
        0.7,
        "Truncation in samples: w_avg + psi (w - w_avg); 1: none.",
        within="[0, 2]",
    )
    truncation_cutoff: int = setting(
        "run", 8, "Styles from this one on are never truncated.", within="[0, 1e6]"
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, field_type(field), getattr(self, field.name))
        need = self._need
        need(self.image_channels in (1, 3), "image_channels", "1 (grey) or 3 (RGB)")
        for holds, name, right in self.kind.check(self):
            need(holds, name, right)
        for other in ARCHITECTURES.values():
            for name in set(other.settings) - set(self.kind.settings):
                right = f"left out with --architecture={self.architecture}, which has no use for it"
                need(self._is_default(name), name, right)
        for name in ("epochs_by_level", "batch_by_level", "learning_rate_by_level"):
            values = getattr(self, name)
            need(len(values) >= 1, name, "one number for each level, or one for all")
            need(
                len(values) <= self.levels,
                name,
                f"at most {self.levels} numbers with --levels={self.levels}",
            )

    def _need(self, holds: bool, name: str, right: str) -> None:
        if not holds:
            raise ConfigError(f"--{name}={to_text(getattr(self, name))}: must be {right}.")

    def _is_default(self, name: str) -> bool:
        return getattr(self, name) == type(self).__dataclass_fields__[name].default

    @property
    def kind(self) -> Architecture:
        """The record of its architecture."""
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

    def replace(self, **changes: object) -> Config:
        """A copy with some fields changed, checked like a new one."""
        return dataclasses.replace(self, **changes)

    @property
    def ignored(self) -> list[str]:
        """Settings other than their defaults that this architecture does not read."""
        return [name for name in self.kind.ignored if not self._is_default(name)]

    def to_flagfile(self) -> str:
        """The config as the text of a flagfile, every field in it."""
        return "".join(
            f"--{field.name}={flagfile.quote(to_text(getattr(self, field.name)))}\n"
            for field in dataclasses.fields(self)
        )

    @classmethod
    def from_text(cls, values: typing.Mapping[str, str], base: Config | None = None) -> Config:
        """A config from texts by field name, over `base` (default: the defaults).

        Raises:
            ConfigError: an unknown name, or a text that is no value of the field's type.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in fields:
                raise ConfigError(f"--{name}: no such setting; `--help` lists them all.")
        parsed = {
            name: from_text(fields[name], field_type(fields[name]), text)
            for name, text in values.items()
        }
        return dataclasses.replace(base or cls(), **parsed)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Reads a flagfile (`alae_tf.config.flagfile`), also one of the first version.

        Raises:
            ConfigError: it cannot be read, or a setting in it is wrong.
        """
        arguments = flagfile.read(str(path))
        if not arguments:
            raise ConfigError(f"{path}: is empty; it should hold settings, as --levels=4.")
        try:
            values = by_name(arguments)
            return cls.from_text({RENAMED.get(name, name): text for name, text in values.items()})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def by_level(values: tuple, level: int):
    """The entry of `level`; the last one serves all further levels."""
    return values[min(level, len(values) - 1)]


def field_type(field: dataclasses.Field) -> type:
    """The type of a field's value, or of the entries of a tuple field."""
    hint = typing.get_type_hints(Config)[field.name]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint


def by_name(arguments: list[str]) -> dict[str, str]:
    """Texts of settings by name, from arguments read as absl reads them.

    Raises:
        ConfigError: one is not of the form --name=value.
    """
    booleans = [field.name for field in dataclasses.fields(Config) if field_type(field) is bool]
    left, values = list(arguments), {}
    while left:
        argument = left.pop(0)
        name, equals, text = argument.removeprefix("-").removeprefix("-").partition("=")
        if not flagfile.is_flag(argument):
            raise ConfigError(f"{argument!r} is not of the form --name=value.")
        if not equals and name in booleans:
            text = "true"
        elif not equals and name.removeprefix("no") in booleans:
            name, text = name.removeprefix("no"), "false"
        elif not equals:
            text = flagfile.value_of(argument, left)
            left.pop(0)
        values[name] = text
    return values
