"""A run directory: everything about one run, so that other commands need only `--run_dir`.

config.cfg        the resolved flagfile; `--flagfile=config.cfg` repeats the run
config-until-NNN.cfg  what it was up to NNN images, where a resumed run was given other settings
checkpoints/      images-NNNNNNNNNNNN.npz, the newest few
metrics.csv       losses and speed against images seen
losses.png        metrics.csv as a plot
results.jsonl     what was measured, a line a figure
samples/          grids: originals over reconstructions, then generated images
tensorboard/      the same for TensorBoard
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import platform
import re
import secrets
from pathlib import Path

from alae_tf.config import Config, ConfigError
from alae_tf.runs.metrics import Metrics
from alae_tf.system import shipped
from alae_tf.system.errors import AlaeError, CheckpointError
from alae_tf.system.files import Lock, check_directory, sweep, write_atomic

# What may differ when a run goes on.
CHANGEABLE = (
    "epochs",
    "epochs_by_level",  # of levels not reached yet, which is looked at when the images are known
    "checkpoint_minutes",
    "keep_checkpoints",
    "sample_images",
    "log_images",
    "evaluate_images",
    "evaluate_metrics",
    "evaluate_count",
    "init_from",  # which is looked at once, at the beginning
    "data",  # the set may have moved; its number of images must be the same
    "batch_by_level",  # after running out of memory
    "accumulate",
    "learning_rate_by_level",  # after diverging
    "strategy",  # the next machine may be another
    "tf32",  # likewise
    "max_hours",
)


CONFIG = "config.cfg"
FOLDER = "checkpoints"
STARTED = "# Started in "  # the first line of a run's config, with a path as JSON
PATTERN = re.compile(r"images-(\d{12})\.npz")


def existing_run(run_dir: str | Path, flag: str = "--run_dir") -> Path:
    """The directory of a run: a path, which may begin with ~, or a shipped model as `digits` or
    `models/digits`.

    Args:
        run_dir: the path or name.
        flag: that gave it, for the message.

    Raises:
        CheckpointError: it is none; lists the shipped models.
    """
    if not isinstance(run_dir, str | os.PathLike):
        raise CheckpointError(f"{flag}: got {run_dir!r}, expected a path.")
    path = Path(os.path.expanduser(run_dir))
    try:
        if (path / CONFIG).is_file():
            return path
    except OSError as error:  # as of a name that is too long
        raise CheckpointError(f"{flag}={run_dir}: {error.strerror}.") from None
    models = shipped.folder("models")
    if str(path.parent) in (".", "models") and (models / path.name / CONFIG).is_file():
        return models / path.name
    known = ", ".join(sorted(file.parent.name for file in models.glob(f"*/{CONFIG}")))
    there = f", and none of the shipped models: {known}" if known else ""
    raise CheckpointError(f"{flag}={run_dir}: no run directory (it has no {CONFIG}){there}.")


def started_in(run_dir: Path) -> Path | None:
    """Where a run was started or last continued; None where that was not recorded."""
    with open(run_dir / CONFIG, encoding="utf-8", errors="replace") as file:
        first = file.readline()
    try:
        return Path(json.loads(first.removeprefix(STARTED))) if first.startswith(STARTED) else None
    except (ValueError, TypeError):
        return None


def images_of(run_dir: Path, uri: str) -> str:
    """The URI of a run's own images, for use in any working directory.

    Args:
        run_dir: the run.
        uri: its --data; relative paths in it are relative to where the run was started.
    """
    from alae_tf import data  # which loading a model does not need

    start = started_in(run_dir)
    return data.absolute(uri, start) if start and start != Path.cwd() else uri


def differences(there: Config, asked: Config) -> dict[str, str]:
    """What differs between two configs: name → a line for people."""
    lines = {}
    for field in dataclasses.fields(Config):
        old, new = getattr(there, field.name), getattr(asked, field.name)
        if old != new:
            old, new = ("none" if value == "" else value for value in (old, new))
            lines[field.name] = f"{field.name}: {old} there, {new} asked for"
    return lines


def check_init_from(config: Config) -> None:
    """Raises an AlaeError unless the run that --init_from names, if it does, has networks of the
    same sizes, and a checkpoint."""
    if not config.init_from:
        return
    path = existing_run(config.init_from, "--init_from")
    groups = {field.name: field.metadata["group"] for field in dataclasses.fields(Config)}
    differ = [
        line
        for name, line in differences(Config.load(path / CONFIG), config).items()
        if groups[name] == "model" or name in ("image_channels", "latent_regression")
    ]
    if differ:
        raise ConfigError(
            f"--init_from={config.init_from}: has other networks; give the same settings, as "
            f"--flagfile={path / CONFIG} does:\n  " + "\n  ".join(differ)
        )
    if not list_checkpoints(path):
        raise ConfigError(f"--init_from={config.init_from}: it has no checkpoint yet.")


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    folder = Path(run_dir) / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if PATTERN.fullmatch(path.name))


def checkpoint_numbers(run_dir: str | Path) -> list[int]:
    """Images seen at each of `list_checkpoints`."""
    return [int(path.stem.partition("-")[2]) for path in list_checkpoints(run_dir)]


class RunTakenError(AlaeError):
    """Another run stands where this one stood."""

    exit_code = 1


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory; made by `open`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(os.path.expanduser(path))
        self.config_path = self.path / CONFIG
        self.metrics = Metrics(self.path / "metrics.csv")
        self.checkpoints = self.path / FOLDER
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self.lock_path = self.path / ".lock"
        self._lock: Lock | None = None
        self._mark = f"{platform.node()} {os.getpid()} {secrets.token_hex(8)}\n"

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
        saved = self.checkpoints.is_dir() and any(self.checkpoints.glob("images-*.npz"))
        if resume == "must" and not saved:
            raise ConfigError(f"{where}: has no checkpoint to go on from (--resume=must).")
        if not held:
            return
        if resume == "never":
            raise ConfigError(
                f"{where}: already holds a run (--resume=never); give another directory."
            )
        differ = [line for name, line in self.changes(config).items() if name not in CHANGEABLE]
        if differ:
            raise ConfigError(
                f"{where}: holds a run of another config; give another directory, or the same "
                "settings:\n  " + "\n  ".join(differ)
            )
        self._check_images(config.data)
        for folder in (self.checkpoints, self.samples, self.tensorboard):
            if folder.exists() and not folder.is_dir():
                raise ConfigError(f"{where}: its {folder.name} is a file, and must be a directory.")
        if self.metrics.path.is_dir():
            raise ConfigError(f"{where}: its metrics.csv is a directory, and must be a file.")
        seen = [int(row["images_seen"]) for row in self.metrics.rows()]
        seen += [int(path.stem[7:]) for path in self.samples.glob(f"images-{'[0-9]' * 12}.png")]
        if seen and not saved:
            raise ConfigError(
                f"{where}: holds a run that has seen {max(seen):,} images, but "
                "none of its checkpoints. Put them back into checkpoints/, or give another "
                "directory to start anew."
            )

    def _check_images(self, uri: str) -> None:
        """Raises a ConfigError if a relative path in --data named another folder at the start."""
        from alae_tf import data

        start = started_in(self.path)
        if start is None or start.resolve() == Path.cwd():
            return
        before = data.absolute(uri, start)
        if before == uri:
            return
        try:
            data.check(before)
        except AlaeError:  # it has been moved
            return
        raise ConfigError(
            f"--data={uri}: the run was started in {start}, where this names "
            f"{before}; continue it from there, or give an absolute path."
        )

    def config(self) -> Config | None:
        """The config of the run that is here, if there is one.

        Raises:
            ConfigError: it cannot be read.
        """
        return Config.load(self.config_path) if self.there else None

    def changes(self, config: Config) -> dict[str, str]:
        """What differs from the config of the run that is here: name → a line for people."""
        return differences(self.config() or config, config)

    def open(self) -> None:
        """Makes the directory and takes it for this process.

        Raises:
            ConfigError: another process trains in it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._take()
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
        started = f"{STARTED}{json.dumps(os.getcwd())}\n"
        text = (started + config.to_flagfile()).encode()
        before = self.config_path.with_name(f"config-until-{images_seen}.cfg")
        # One that is there already is the true one: what came after it saved nothing.
        if images_seen and self.config_path.exists() and not before.exists():
            old = self.config_path.read_bytes()
            if not old.endswith(config.to_flagfile().encode()):
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
            RunTakenError: it was made anew, and another process trains there.
        """
        if not self.there:
            raise FileNotFoundError(errno.ENOENT, "is away", str(self.path))
        if self._lock is None:
            return
        try:
            if not self.lock_path.exists():  # a copy was put back without it
                self._take()
            if self.lock_path.read_text(encoding="utf-8") == self._mark:
                return
        except BlockingIOError:
            pass
        raise RunTakenError(
            f"--run_dir={self.path}: was made anew, and another process has taken it; nothing more "
            "is written there."
        )

    def _take(self) -> None:
        """Locks the directory, and marks the lock as this process'.

        Raises:
            BlockingIOError: another process holds it.
        """
        self.close()
        self._lock = Lock(self.lock_path)
        self.lock_path.write_text(self._mark, encoding="utf-8")

    def sweep(self) -> None:
        """Deletes the temporary files that killed processes left."""
        for folder in (self.path, self.checkpoints, self.samples, self.tensorboard):
            sweep(folder)
