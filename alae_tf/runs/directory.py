"""A run directory: everything about one run, so that other commands need only `--run_dir`.

config.cfg        the resolved flagfile; `--flagfile=config.cfg` repeats the run
config-until-NNN.cfg  what it was up to NNN images, where a resumed run was given other settings
checkpoints/      images-NNNNNNNNNNNN.npz, the newest few
metrics.csv       losses and speed against images seen
losses.png        metrics.csv as a plot
samples/          grids: originals over reconstructions, then generated images
tensorboard/      the same for TensorBoard
"""

from __future__ import annotations

import csv
import dataclasses
import errno
from pathlib import Path

from alae_tf.config import Config, ConfigError
from alae_tf.files import Lock, check_directory, write_atomic

COLUMNS = (
    "images_seen",
    "level",
    "blend",
    "loss_d",
    "loss_g",
    "loss_latent",
    "learning_rate",
    "images_per_second",
    "data_wait",
)
# What may differ when a run goes on.
CHANGEABLE = (
    "epochs",
    "checkpoint_minutes",
    "keep_checkpoints",
    "sample_images",
    "log_images",
    "data",  # the set may have moved; its number of images must be the same
    "batch_by_level",  # after running out of memory
    "accumulate",
    "learning_rate_by_level",  # after diverging
    "strategy",  # the next machine may be another
    "max_hours",
)


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory; made by `open`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.config_path = self.path / "config.cfg"
        self.metrics_path = self.path / "metrics.csv"
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self._lock: Lock | None = None
        self._unwritten: list[str] = []  # rows of metrics while the directory is away

    def check(self, config: Config, resume: str) -> None:
        """Tells, before any work and without writing, whether a run may start or go on here.

        Args:
            config: of the run to be.
            resume: "auto" (go on if there is a run, else start), "never" or "must".

        Raises:
            ConfigError: the directory holds something else, or the run of another config, or
                does not hold what `resume` asks for.
        """
        where = f"--run_dir={self.path}"
        held = check_directory(
            "--run_dir", self.path, "a run", self.config_path.name, lambda name: name == ".lock"
        )
        if resume == "must" and not any((self.path / "checkpoints").glob("images-*.npz")):
            raise ConfigError(f"{where}: has no checkpoint to go on from (--resume=must).")
        if not held:
            return
        if resume == "never":
            raise ConfigError(
                f"{where}: already holds a run (--resume=never); give another directory."
            )
        before = Config.load(self.config_path)
        names = [field.name for field in dataclasses.fields(Config)]
        differ = [
            f"{name}: {getattr(before, name)} there, {getattr(config, name)} asked for"
            for name in names
            if name not in CHANGEABLE and getattr(before, name) != getattr(config, name)
        ]
        if differ:
            raise ConfigError(
                f"{where}: holds a run of another config; give another directory, or the same "
                "settings:\n  " + "\n  ".join(differ)
            )

    def open(self) -> None:
        """Makes the directory and takes it for this process.

        Raises:
            ConfigError: another process trains in it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path / ".lock")
        except BlockingIOError:
            raise ConfigError(
                f"--run_dir={self.path}: another process is training in it; give another one."
            ) from None
        except OSError as error:
            raise ConfigError(
                f"--run_dir={self.path}: {error.strerror}; nothing was written."
            ) from None

    def write_config(self, config: Config, images_seen: int = 0) -> None:
        """Writes the config; one of other settings that is there is kept under another name.

        Args:
            config: that the run goes on with.
            images_seen: up to which the other one was in force.
        """
        text = config.to_flagfile().encode()
        before = self.config_path.with_name(f"config-until-{images_seen}.cfg")
        # One that is there already is the true one: what came after it saved nothing.
        if images_seen and self.config_path.exists() and not before.exists():
            old = self.config_path.read_bytes()
            if old != text:
                write_atomic(before, old)
        write_atomic(self.config_path, text)

    def close(self) -> None:
        """Leaves the directory to other processes."""
        if self._lock is not None:
            self._lock.release()

    @property
    def there(self) -> bool:
        """Whether the run can be reached; a network disk may be away."""
        return self.config_path.is_file()

    def require(self) -> None:
        """Looks whether the run is still there, so that nothing is written in its place.

        Raises:
            FileNotFoundError: it is not; a network disk may be away.
        """
        if not self.there:
            raise FileNotFoundError(errno.ENOENT, "is away", str(self.path))

    def rewind_metrics(self, images_seen: int) -> None:
        """Drops rows later than a checkpoint, which the resumed run will write again."""
        rows = [row for row in self.read_metrics() if int(row["images_seen"]) <= images_seen]
        lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
        write_atomic(self.metrics_path, ("\n".join(lines) + "\n").encode())

    def read_metrics(self) -> list[dict[str, str]]:
        """The whole rows of metrics.csv; a line cut short by a kill is passed over."""
        if not self.metrics_path.exists():
            return []
        with open(self.metrics_path, newline="") as file:
            rows = list(csv.DictReader(file))
        return [row for row in rows if all(row.get(name) for name in COLUMNS)]

    def add_metrics(self, row: dict[str, object]) -> None:
        """Appends a row, numbers to six digits; it is kept until it can be written."""
        texts = [
            f"{value:.6g}" if isinstance(value, float) else str(value)
            for value in (row[name] for name in COLUMNS)
        ]
        self._unwritten.append(",".join(texts) + "\n")
        self.require()
        with open(self.metrics_path, "a") as file:
            file.write("".join(self._unwritten))
        self._unwritten.clear()
