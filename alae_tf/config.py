"""What a run is: one frozen record, checked when it is made, written as an absl flagfile.

No TensorFlow and no absl here, so that a config can be read and checked in a few milliseconds.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path

from alae_tf.errors import AlaeError

# What the first version called a setting → its name now. Runs of it still load.
RENAMED = {"slow_copy_images": "ema_images"}


class ConfigError(AlaeError):
    """A setting is wrong; the message names the flag, what it was and what would be right."""


def setting(default: object, help: str, choices: tuple[str, ...] = ()) -> typing.Any:
    """A dataclass field that carries the help text and the choices of its flag."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class Config:
    """The record of a run: what is built, on what it is trained, for how long, and how.

    Every field is a flag of the same name (`alae_tf.flags`). Lists "by level" give one entry a
    level; the last entry serves all further levels. Names in brackets are the authors'.

    Raises:
        ConfigError: a value is out of range, or two values do not go together.
    """

    architecture: str = setting(
        "style",
        "style: StyleALAE, convolutional, grown level by level; mlp: the permutation-invariant "
        "MLP-ALAE of the paper's MNIST table.",
        choices=("style", "mlp"),
    )
    image_channels: int = setting(1, "Channels of the images: 1 (grey) or 3 (RGB).")
    levels: int = setting(
        4, "style: number of resolutions, 4 to 2^(levels+1) pixels [LAYER_COUNT]. mlp: 1."
    )
    start_channels: int = setting(64, "style: channels at full resolution [START_CHANNEL_COUNT].")
    max_channels: int = setting(256, "style: most channels of any layer [MAX_CHANNEL_COUNT].")
    image_size: int = setting(28, "mlp: side of the square images, in pixels.")
    hidden_size: int = setting(1024, "mlp: width of the two hidden layers of E and of G.")
    output_slope: float = setting(
        0.2,
        "mlp: slope of leaky ReLU in G and after E's last layer. 0.2 as in the released "
        "defaults; the authors' own MNIST run used 0.01.",
    )
    latent_size: int = setting(256, "Length of z and of w [LATENT_SPACE_SIZE].")
    mapping_layers: int = setting(8, "Layers of F, the mapping network [MAPPING_LAYERS].")

    data: str = setting(
        "mnist5k:",
        "The images: mnist5k: (5,000 digits, no download), idx:DIR (files in MNIST's format), "
        "folder:DIR (PNG, JPEG, WebP), tfds:NAME (TensorFlow Datasets), tfrecord:DIR (what "
        "alae_tf.prepare or StyleGAN's tool wrote).",
    )
    flip: bool = setting(True, "Mirror images left-right at random; switch off for digits.")
    epochs: float = setting(60.0, "Length of the whole run, in passes over the training images.")
    epochs_by_level: tuple[float, ...] = setting(
        (10.0,),
        "style: passes over the images at each level; the last level goes on until --epochs. "
        "From level 1 on, its first half fades in [EPOCHS_PER_LOD].",
    )
    batch_by_level: tuple[int, ...] = setting(
        (128,), "Images an iteration, over all replicas, by level [LOD_2_BATCH_8GPU]."
    )
    learning_rate_by_level: tuple[float, ...] = setting((0.0015,), "Learning rate by level.")
    adam_beta_2: float = setting(
        0.99, "Decay of the mean squared gradient; there is no first moment (beta 1 is 0)."
    )

    latent_update: str = setting(
        "EG",
        "Networks that move in update 3, the latent reconstruction. EG as in the paper's "
        "Algorithm 1; EFG as in the released code, where F moves too, through G's input.",
        choices=("EG", "EFG"),
    )
    r1_gamma: float = setting(10.0, "Weight of the gradient penalty R1 on real images; 0: none.")
    r1_every: int = setting(
        1,
        "R1 in every k-th iteration only, k times as strong (lazy regularisation of StyleGAN2): "
        "about a quarter less work at k = 4 or more; 1 is the paper.",
    )
    style_mixing: float = setting(
        0.9,
        "style: probability that the later styles of a whole batch come from a second z, from a "
        "random layer on, in updates 1 and 2.",
    )
    w_avg_decay: float = setting(0.995, "Decay of w_avg, the running mean of w.")
    ema_images: float = setting(
        10000.0, "Half-life of the EMA of the weights, in images [0.5^(batch/10000)]."
    )
    truncation_psi: float = setting(0.7, "Truncation in samples: w_avg + psi (w - w_avg); 1: none.")
    truncation_cutoff: int = setting(8, "Styles from this one on are never truncated.")

    seed: int = setting(0, "The same seed gives the same run, to the bit, on one machine.")
    precision: str = setting(
        "float32",
        "bfloat16, float16: convolutions and activations in it, all else (weights, statistics, "
        "styles, w, losses) in float32; for hardware with units for it. float16 scales the losses "
        "and skips updates whose gradients overflow.",
        choices=("float32", "bfloat16", "float16"),
    )
    xla: bool = setting(
        False,
        "Compile the forward and backward passes with XLA. Measure first: on CPUs it helps "
        "the MLP and hurts the convolutions.",
    )

    strategy: str = setting(
        "auto",
        "mirrored: all GPUs of this machine (or its CPU); multi_worker: several machines, each "
        "running this command, found by TF_CONFIG, Slurm or Kubernetes; one_device: the first "
        "GPU or the CPU; auto: multi_worker if TF_CONFIG names several workers, else mirrored.",
        choices=("auto", "mirrored", "multi_worker", "one_device"),
    )
    accumulate: int = setting(
        1,
        "Parts into which each replica's share of the batch is cut, to need that much less "
        "memory; the gradients are added up, so the result is that of the whole batch.",
    )
    max_hours: float = setting(
        0.0,
        "Hours after which this process saves and stops with exit code 75, for schedulers with a "
        "time limit; the same command again goes on. 0: no limit.",
    )
    checkpoint_minutes: float = setting(
        10.0, "Minutes between checkpoints; also written at each level's start and at the end."
    )
    keep_checkpoints: int = setting(3, "Checkpoints kept; older ones are deleted.")
    sample_images: int = setting(100_000, "Images between two sample grids.")
    log_images: int = setting(2_000, "Images between two rows of metrics.csv and TensorBoard.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))
        need = self._need
        need(self.image_channels in (1, 3), "image_channels", "1 (grey) or 3 (RGB)")
        counts = ("latent_size", "mapping_layers", "keep_checkpoints", "r1_every", "accumulate")
        for name in counts:
            need(getattr(self, name) >= 1, name, "at least 1")
        for name in ("sample_images", "log_images"):
            need(getattr(self, name) >= 1, name, "at least 1 image")
        if self.architecture == "style":
            need(1 <= self.levels <= 9, "levels", "1 to 9 (4 to 1024 pixels)")
            need(self.start_channels >= 1, "start_channels", "at least 1")
            need(
                self.max_channels >= self.start_channels,
                "max_channels",
                f"at least --start_channels={self.start_channels}",
            )
        else:
            need(self.levels == 1, "levels", "1 with --architecture=mlp, which does not grow")
            need(self.image_size >= 1, "image_size", "at least 1 pixel")
            need(self.hidden_size >= 1, "hidden_size", "at least 1")
            need(0 <= self.output_slope < 1, "output_slope", "in [0, 1)")
            need(self.precision == "float32", "precision", "float32 with --architecture=mlp")
        of_mlp = ("image_size", "hidden_size", "output_slope")
        of_style = ("start_channels", "max_channels")
        for name in of_mlp if self.architecture == "style" else of_style:
            default = type(self).__dataclass_fields__[name].default
            right = f"left out with --architecture={self.architecture}, which has no use for it"
            need(getattr(self, name) == default, name, right)
        for name in ("epochs_by_level", "batch_by_level", "learning_rate_by_level"):
            values = getattr(self, name)
            need(len(values) >= 1, name, "one number for each level, or one for all")
            need(
                len(values) <= self.levels,
                name,
                f"at most {self.levels} numbers with --levels={self.levels}",
            )
            need(all(value > 0 for value in values), name, "greater than 0 throughout")
        need(self.epochs > 0, "epochs", "greater than 0")
        need(0 <= self.adam_beta_2 < 1, "adam_beta_2", "in [0, 1)")
        need(self.r1_gamma >= 0, "r1_gamma", "0 or more")
        need(0 <= self.style_mixing <= 1, "style_mixing", "a probability, in [0, 1]")
        need(0 <= self.w_avg_decay < 1, "w_avg_decay", "in [0, 1)")
        need(self.ema_images > 0, "ema_images", "greater than 0")
        need(0 <= self.truncation_psi <= 2, "truncation_psi", "in [0, 2]; 1 truncates nothing")
        need(self.truncation_cutoff >= 0, "truncation_cutoff", "0 or more")
        need(0 <= self.seed < 2**31, "seed", "in [0, 2^31)")
        need(self.max_hours >= 0, "max_hours", "0 (no limit) or more")
        need(self.checkpoint_minutes > 0, "checkpoint_minutes", "greater than 0")

    def _need(self, holds: bool, name: str, right: str) -> None:
        if not holds:
            raise ConfigError(f"--{name}={_to_text(getattr(self, name))}: must be {right}.")

    @property
    def resolution(self) -> int:
        """Full resolution, in pixels."""
        return self.image_size if self.architecture == "mlp" else 2 ** (self.levels + 1)

    @property
    def styles(self) -> int:
        """Number of style vectors that G takes: two a block, one for the MLP."""
        return 1 if self.architecture == "mlp" else 2 * self.levels

    def level_resolution(self, level: int) -> int:
        """Resolution at `level`, in pixels."""
        return self.image_size if self.architecture == "mlp" else 4 * 2**level

    def batch_size(self, level: int) -> int:
        """Global batch at `level`."""
        return by_level(self.batch_by_level, level)

    def learning_rate(self, level: int) -> float:
        """Learning rate at `level`."""
        return by_level(self.learning_rate_by_level, level)

    def replace(self, **changes: object) -> Config:
        """A copy with some fields changed, checked like a new one."""
        return dataclasses.replace(self, **changes)

    def to_flagfile(self) -> str:
        """The config as the text of an absl flagfile, every field in it."""
        return "".join(
            f"--{field.name}={_to_text(getattr(self, field.name))}\n"
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
        parsed = {name: _from_text(fields[name], text) for name, text in values.items()}
        return dataclasses.replace(base or cls(), **parsed)

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Reads the flagfile that `to_flagfile` wrote (one `--name=value` a line, # comments)."""
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as a flagfile ({error}).") from None
        values = {}
        for number, line in enumerate(lines, start=1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, equals, text = line.lstrip("-").partition("=")
            if not line.startswith("--") or not equals:
                raise ConfigError(
                    f"{path}, line {number}: {line!r} is not of the form --name=value."
                )
            values[RENAMED.get(name, name)] = text
        try:
            return cls.from_text(values)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def by_level(values: tuple, level: int):
    """The entry of `level`; the last one serves all further levels."""
    return values[min(level, len(values) - 1)]


def field_type(field: dataclasses.Field) -> type:
    """The type of a field's value, or of the entries of a tuple field."""
    hint = typing.get_type_hints(Config)[field.name]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint


def is_list(field: dataclasses.Field) -> bool:
    """Whether the field holds one entry a level."""
    return isinstance(field.default, tuple)


def _to_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_to_text(entry) for entry in value)
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _from_text(field: dataclasses.Field, text: str) -> object:
    kind = field_type(field)
    try:
        if is_list(field):
            return tuple(kind(entry) for entry in text.split(","))
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        return kind(text)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        if is_list(field):
            wanted = f"{wanted}, or several with commas between, one a level"
        raise ConfigError(f"--{field.name}={text}: must be {wanted}.") from None


def _check_type(field: dataclasses.Field, value: object) -> None:
    kind, entries = field_type(field), value if is_list(field) else (value,)
    if not isinstance(entries, tuple):
        raise ConfigError(f"--{field.name}={value!r}: must be a tuple of {kind.__name__}.")
    for entry in entries:
        fits = isinstance(entry, int | float) if kind is float else isinstance(entry, kind)
        if not fits or (isinstance(entry, bool) and kind is not bool):
            raise ConfigError(f"--{field.name}={_to_text(value)}: must be of type {kind.__name__}.")
        if kind is float and not math.isfinite(entry):
            raise ConfigError(f"--{field.name}={_to_text(value)}: must be a finite number.")
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise ConfigError(f"--{field.name}={value}: must be one of {', '.join(choices)}.")
