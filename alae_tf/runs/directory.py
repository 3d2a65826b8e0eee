"""A run directory: everything about one run, which is all that other commands need.

config.cfg        the resolved flagfile; `--flagfile=config.cfg` repeats the run
config-until-NNN.cfg  the settings up to NNN images of a run that continued with others
checkpoints/      images-NNNNNNNNNNNN.npz, the newest few; best.json names the best, also kept
metrics.csv       losses and speed by images seen
losses.png        a plot of metrics.csv
report.html       curves, sample grids and what is wrong, for a browser
results.jsonl     measured values, one per line
samples/          grids: originals above reconstructions, then generated images
tensorboard/      losses and grids for TensorBoard
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import platform
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alae_tf.config import Config, ConfigError
from alae_tf.runs import remote
from alae_tf.runs.metrics import Metrics
from alae_tf.system import schema, shipped
from alae_tf.system.errors import AlaeError, CheckpointError, report
from alae_tf.system.files import (
    Lock,
    check_directory,
    contains,
    expanded,
    png_mark,
    sweep,
    write_atomic,
)
from alae_tf.system.urls import is_url

# Settings that may change when a run continues.
CHANGEABLE = (
    "epochs",
    "epochs_by_level",  # of levels that it has not reached; checked once the images are known
    "checkpoint_minutes",
    "keep_checkpoints",
    "sample_images",
    "log_images",
    "evaluate_images",
    "evaluate_metrics",
    "evaluate_count",
    "init_from",  # read only at the beginning
    "data",  # the images may have moved; their number must be the same
    "batch_by_level",  # after running out of memory
    "accumulate",
    "learning_rate_by_level",  # after diverging
    "ema_images",  # if the EMA is too slow for the rest of the run
    "strategy",  # the run may continue on another machine
    "tf32",  # likewise
    "max_hours",
)

CONFIG = "config.cfg"
FOLDER = "checkpoints"
PLOT, REPORT = "losses.png", "report.html"
# Marks in the pictures and the report of a run; files without them are never replaced.
SOFTWARE = "alae_tf train"
MARKS = {".png": png_mark(SOFTWARE), ".html": b'<ul id="verdicts">'}
BEST = "best.json"  # says which checkpoint is the best, and by which value
ABOUT_BEST = {
    **{"images_seen": int, "level": int, "value": str, "is": float, "better": str},
    "count?": int,  # images measured
}
# Values and help of --checkpoint.
NEWEST_OR_BEST = "newest|best|N"
CHECKPOINT = (
    "checkpoint to use. best: the best by the first of --evaluate_metrics of alae train; N: the "
    "checkpoint saved after N images of training"
)
TAKEN = "was taken by another process; this run writes nothing more to it"
STARTED = "# Started in "  # the first line of a run's config, with a path as JSON
LOCKED = re.compile(rb"(.* \d+ [0-9a-f]{16}\n)?")  # what a run writes into .lock
PATTERN = re.compile(r"images-(\d{12})\.npz")


def existing_run(run_dir: str | Path, flag: str = "--run_dir") -> Path:
    """The directory of a run: a path, a URL (the result is a local copy, brought up to date), or a
    shipped model, for example `digits` or `models/digits`. Raises CheckpointError if it is not a
    run, and StorageError if storage cannot be read; the message names the flag and lists the
    shipped models."""
    if is_url(run_dir):
        copy = remote.read_copy(str(run_dir), flag)
        if copy is None:
            raise CheckpointError(f"{flag}={run_dir}: not a run directory (it has no {CONFIG}).")
        return copy
    try:
        path = expanded(run_dir)
        if (path / CONFIG).is_file():
            return path
    except (OSError, TypeError) as error:  # for example a name that is too long
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{flag}={run_dir}: {why}.") from None
    models = shipped.folder("models")
    if str(path.parent) in (".", "models") and (models / path.name / CONFIG).is_file():
        return models / path.name
    known = ", ".join(sorted(file.parent.name for file in models.glob(f"*/{CONFIG}")))
    hint = f"; shipped models: {known}" if known else ""
    raise CheckpointError(f"{flag}={run_dir}: not a run directory (it has no {CONFIG}){hint}.")


def started_in(run_dir: Path) -> Path | None:
    """The working directory in which a run was last started; None if it was not recorded."""
    with open(run_dir / CONFIG, encoding="utf-8", errors="replace") as file:
        _, mark, text = file.readline().partition(STARTED)
    try:
        return Path(schema.parse(text, str)) if mark else None
    except ValueError:
        return None


def images_of(run_dir: Path, uri: str, flag: str = "") -> str:
    """A run's --data for use in any working directory: its paths are relative to the directory in
    which the run was started.

    Runs that do not record that directory, for example shipped models, use the working directory
    instead. The path used is then reported, with `flag`, the flag that names other images, if it is
    given.
    """
    from alae_tf import data  # loading a model does not need it

    start, here = started_in(run_dir), Path.cwd()
    if start is None and flag and (absolute := data.absolute(uri, here)) != uri:
        why = f"was trained on {uri}, relative to a directory that it does not record"
        report(f"--run_dir={run_dir}", f"{why}; {absolute} is used. {flag} names other images.")
    # `start` may have become a link to the place that its contents were moved to.
    return data.absolute(uri, start) if start and start.resolve() != here else uri


def differences(before: Config, asked: Config) -> dict[str, str]:
    """The settings in which two configs differ: name → a line for the user."""
    lines = {}
    for field in dataclasses.fields(Config):
        old, new = getattr(before, field.name), getattr(asked, field.name)
        if old != new:
            old, new = ("none" if value == "" else value for value in (old, new))
            lines[field.name] = f"{field.name}: {old} before, {new} now"
    return lines


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    folder = Path(run_dir) / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if PATTERN.fullmatch(path.name))


def checkpoint_numbers(run_dir: str | Path) -> list[int]:
    """Images seen at each of `list_checkpoints`."""
    return [int(path.stem.partition("-")[2]) for path in list_checkpoints(run_dir)]


def read_best(run_dir: str | Path) -> dict[str, Any] | None:
    """What best.json says, as in `ABOUT_BEST`; None if that file is missing. Raises
    CheckpointError if it is damaged, OSError if it cannot be read at present."""
    path = Path(run_dir) / FOLDER / BEST
    try:
        return schema.load(path, ABOUT_BEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); repair it or delete it.") from None


def best_checkpoint(run_dir: str | Path) -> dict[str, Any] | None:
    """The best checkpoint of a run, as in `read_best`; None also if that checkpoint was deleted."""
    about = read_best(run_dir)
    return about if about and about["images_seen"] in checkpoint_numbers(run_dir) else None


def chosen_checkpoint(run_dir: str | Path, asked: int | str | None) -> int | None:
    """Images seen at a checkpoint; None: the newest whole one.

    `asked`: a value of --checkpoint: a number, "newest" (or None) or "best". Raises CheckpointError
    if it is none of these, or if the run has no checkpoint, or no best one; see also `read_best`.
    """
    numbers = checkpoint_numbers(run_dir)
    if not numbers:
        raise CheckpointError(f"--run_dir={run_dir}: has no checkpoint yet; train it first.")
    if asked is None or asked == "newest":
        return None
    if asked == "best":
        try:
            best = read_best(run_dir)
        except CheckpointError as error:
            raise CheckpointError(f"--checkpoint=best: {error}") from None
        if best and best["images_seen"] in numbers:
            return best["images_seen"]
        held = ", ".join(map(str, numbers))
        why = f"--run_dir={run_dir} has no best checkpoint, since training did not measure "
        why += "--evaluate_metrics"
        if best:
            path = Path(run_dir) / FOLDER / BEST
            why = f"{path} names the checkpoint at {best['images_seen']}, which does not exist"
        raise CheckpointError(f"--checkpoint=best: {why}; give newest, or one of {held}.")
    try:
        return int(asked)
    except ValueError:
        raise CheckpointError(
            f"--checkpoint={asked}: must be newest, best, or a number of images."
        ) from None


class RunTakenError(AlaeError):
    """Another process has taken the directory of this run."""

    exit_code = 1


class RunDirectory:
    """The files of one run, in a directory that `open` creates.

    Args:
        given: its path or URL.

    Attributes:
        path: the directory; of a URL, the local copy.
        flag: --run_dir with the path or URL, for messages.
    """

    def __init__(self, given: str | Path):
        self.given, self.flag = str(given).rstrip("/") or "/", f"--run_dir={given}"
        self._remote = remote.RemoteRun(self.given) if is_url(given) else None
        self._lock: Lock | None = None
        self._kept: set[Path] = set()  # foreign files, already reported
        self._mark = f"{platform.node()} {os.getpid()} {secrets.token_hex(8)}\n"
        self._place(self._remote.path if self._remote else expanded(given))

    def _place(self, path: Path) -> None:
        self.path = path
        self.config_path = self.path / CONFIG
        self.metrics = Metrics(self.path / "metrics.csv")
        self.checkpoints = self.path / FOLDER
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"
        self.lock_path = self.path / ".lock"

    @property
    def begun(self) -> bool:
        """Whether the run has a checkpoint. Raises StorageError if storage cannot be read."""
        if self._remote is None:
            return bool(list_checkpoints(self.path))
        names = self._remote.storage.list()
        return any(PATTERN.fullmatch(name.rpartition("/")[2]) for name in names)

    def fetch(self) -> None:
        """Downloads a run in storage, for the process that writes its files; see `RemoteRun`."""
        if self._remote is not None:
            self._remote.fetch()

    def follow(self, worker: int) -> None:
        """Downloads a run in storage for another worker, which only reads."""
        if self._remote is not None:
            self._remote = remote.RemoteRun(self.given, f"worker{worker}")
            self._remote.follow()
            self._place(self._remote.path)

    def publish(self) -> None:
        """Begins to upload the files to storage, in the background."""
        if self._remote is not None:
            self._remote.publish()

    def finish(self, patience: Callable[[], float]) -> None:
        """Waits until the files are in storage; see `RemoteRun.finish`."""
        if self._remote is not None:
            self._remote.finish(patience)
            self._check_lease()

    def check(self, config: Config, resume: str) -> None:
        """Checks, before any work and without writing, that a run may start or continue.

        `resume` is "auto" (continue a run that exists, else start one), "never" or "must". Raises
        ConfigError if it does not allow this, or if the directory holds something other than a run,
        or a run of another config.
        """
        where = self.flag
        held = check_directory("--run_dir", self.path, "run", CONFIG)
        if self.lock_path.is_file() and not LOCKED.fullmatch(self.lock_path.read_bytes()):
            raise ConfigError(f"{where}: its .lock was not written by a run; move it away.")
        saved = self.checkpoints.is_dir() and any(self.checkpoints.glob("images-*.npz"))
        if resume == "must" and not saved:
            raise ConfigError(f"{where}: has no checkpoint to continue (--resume=must).")
        if not held:
            return
        if resume == "never":
            raise ConfigError(f"{where}: holds a run (--resume=never); give another directory.")
        differ = [line for name, line in self.changes(config).items() if name not in CHANGEABLE]
        if differ:
            how = "holds a run of another config; give another directory, or the same settings"
            raise ConfigError("\n  ".join([f"{where}: {how}:", *differ]))
        self._check_images(config.data)
        folders = (self.checkpoints, self.samples, self.tensorboard)
        files = (self.metrics.path, self.path / REPORT, self.path / PLOT, self.checkpoints / BEST)
        for path in (*folders, *files):
            if path.exists() and not (path.is_dir() if path in folders else path.is_file()):
                right = "a directory" if path in folders else "a file"
                raise ConfigError(f"{where}: its {path.name} must be {right}.")
        read_best(self.path)  # raises if it is damaged: the best checkpoint could not be kept
        seen = [int(row["images_seen"]) for row in self.metrics.rows()]
        seen += [int(path.stem[7:]) for path in self.samples.glob(f"images-{'[0-9]' * 12}.png")]
        if seen and not saved:
            what = f"holds a run that has seen {max(seen):,} images, but none of its checkpoints"
            raise ConfigError(f"{where}: {what}. Restore them, or give another directory.")

    def _check_images(self, uri: str) -> None:
        """Raises ConfigError if a relative path in --data named another folder when the run was
        started."""
        from alae_tf import data

        before = images_of(self.path, uri)
        if before == uri:
            return
        try:
            data.check(before)
        except AlaeError:  # it has been moved
            return
        raise ConfigError(
            f"--data={uri}: was {before} when the run was started; continue the run in "
            f"{started_in(self.path)}, or give an absolute path."
        )

    def config(self) -> Config | None:
        """The config of the run, None if it has none; raises ConfigError if it cannot be read."""
        return Config.load(self.config_path) if self.there else None

    def changes(self, config: Config) -> dict[str, str]:
        """The settings in which the run differs from `config`: name → a line for the user."""
        return differences(self.config() or config, config)

    def open(self) -> None:
        """Creates the directory and locks it for this process; raises ConfigError if another
        process trains in it, or it cannot be written."""
        try:
            if self._remote is not None:
                self._remote.open()
            self.path.mkdir(parents=True, exist_ok=True)
            self._take()
        except OSError as error:
            taken = isinstance(error, BlockingIOError)
            why = "another process is training in it" if taken else error.strerror
            raise ConfigError(f"{self.flag}: {why}; nothing was written.") from None

    def write_config(self, config: Config, images_seen: int = 0) -> None:
        """Writes the config. If the settings up to `images_seen` were others, they are kept in
        config-until-….cfg."""
        text = config.to_flagfile().encode()
        before = self.config_path.with_name(f"config-until-{images_seen}.cfg")
        # An existing file is right: no checkpoint was saved with the settings used since.
        if images_seen and self.there and not before.exists():
            old = self.config_path.read_bytes()
            if not old.endswith(text):
                write_atomic(before, old)
        started = f"{STARTED}{json.dumps(os.getcwd())}\n"
        write_atomic(self.config_path, started.encode() + text)

    def replace(self, path: Path, data: bytes) -> None:
        """Writes a picture or the report. A file that this run did not write is kept instead, which
        is reported once."""
        if contains(path, MARKS[path.suffix]) or not os.path.lexists(path):
            write_atomic(path, data)
        elif path not in self._kept:
            self._kept.add(path)
            why = "was not written by this version of training"
            report(str(path), f"{why}, and is kept. Move it away to have a new one written.")

    def close(self) -> None:
        """Unlocks the directory; of a run in storage, ends uploads and gives the lease back."""
        if self._remote is not None:
            self._remote.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    @property
    def there(self) -> bool:
        """Whether the run exists; a network disk may be unreachable."""
        return self.config_path.is_file()

    def require(self) -> None:
        """Checks that the directory still holds this run, before something is written to it. Raises
        FileNotFoundError if it does not exist (a network disk may be unreachable), RunTakenError if
        it was recreated, and another process trains there."""
        if not self.there:
            raise FileNotFoundError(errno.ENOENT, "is unreachable", str(self.path))
        self._check_lease()
        if self._lock is None:
            return
        with contextlib.suppress(BlockingIOError):
            if not self.lock_path.exists():  # the directory was restored without its lock
                self._take()
            if self.lock_path.read_text(encoding="utf-8") == self._mark:
                return
        raise RunTakenError(f"{self.flag}: {TAKEN}.")

    def _check_lease(self) -> None:
        if self._remote is not None and self._remote.lost:
            raise RunTakenError(f"{self.flag}: {TAKEN}. Its files are in {self.path}.")

    def _take(self) -> None:
        self._release()
        self._lock = Lock(self.lock_path)
        self.lock_path.write_text(self._mark, encoding="utf-8")

    def sweep(self) -> None:
        """Deletes the temporary files that killed processes left."""
        for folder in (self.path, self.checkpoints, self.samples, self.tensorboard):
            sweep(folder)
