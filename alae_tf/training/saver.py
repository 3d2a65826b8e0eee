"""The checkpoints of a run on its way: when they are written, and how a run goes on from one."""

from __future__ import annotations

import errno
import sys
import time

import keras
import numpy as np

from alae_tf.config import ConfigError
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory, existing_run
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach
from alae_tf.training.schedule import Growth
from alae_tf.training.trainer import Trainer

RETRY_SECONDS = 10.0
PATIENCE_SECONDS = 1800.0  # for a run directory that is away at the end of a run
HASTE_SECONDS = 6.0  # the same after a signal


def training_variables(trainer: Trainer) -> dict[str, keras.Variable]:
    """All that a run must remember: the networks, their EMA, both optimizers' state."""
    named = dict(named_variables(trainer.alae, "alae"))
    names = {id(variable): name for name, variable in named.items()}
    named.update(named_variables(trainer.ema, "ema"))
    for optimizer in (trainer.optimizer_ed, trainer.optimizer_fg):
        for variable, v, t in optimizer.slots():
            name = names[id(variable)].removeprefix("alae/")
            named[f"optimizer/v/{name}"], named[f"optimizer/t/{name}"] = v, t
    if trainer.loss_scale is not None:
        named["loss_scale/value"] = trainer.loss_scale.value
        named["loss_scale/good"] = trainer.loss_scale.good
    return named


class Saver:
    """Saves a run, and brings it back.

    Args:
        progress: the run's.
        directory: where its checkpoints are.
        reach: writes there.
        chief: whether this process writes the run's files.

    Attributes:
        saved_at: int. Images seen at the newest checkpoint; None while there is none.
    """

    def __init__(self, progress: Progress, directory: RunDirectory, reach: Reach, chief: bool):
        self._run, self._directory, self._reach = progress, directory, reach
        self._chief = chief
        self.saved_at: int | None = None
        self._next = time.monotonic() + 60 * progress.config.checkpoint_minutes

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() > self._next

    def restore(self) -> int | None:
        """Goes back to the newest whole checkpoint.

        Where there is none, a run with --init_from begins with the weights of the run named there.

        Returns:
            The level that the run stands at; None for one that begins with new weights.

        Raises:
            ConfigError: the config or its images do not go with what was trained so far.
            CheckpointError: there are checkpoints and none can be read.
        """
        run = self._run
        state = checkpoint.restore(
            training_variables(run.trainer), self._directory.path, self._chief
        )
        if state is None:
            return self._begin_from(run.config.init_from) if run.config.init_from else None
        level = state["level"]
        if level >= run.config.levels:
            raise checkpoint.CheckpointError(
                f"--run_dir={self._directory.path}: its checkpoint is of level {level}, and the "
                f"config has {run.config.levels} levels."
            )
        if state["dataset_size"] is None:
            run.images_seen = self._imported_at(level, "imported weights")
            return level
        if state["dataset_size"] != len(run.source):
            raise ConfigError(
                f"--data={run.config.data}: has {len(run.source):,} images, and "
                f"{state['dataset_size']:,} when the run in {self._directory.path} was saved; "
                "give the same images, or another --run_dir."
            )
        self._check_plan(state["images_seen"])
        if len(state["sums"]) != len(run.means.names):
            raise ConfigError(
                f"--updates={','.join(run.config.updates)}: the run in {self._directory.path} has "
                f"{len(state['sums'])} updates; give the same, or another --run_dir."
            )
        run.images_seen = self.saved_at = state["images_seen"]
        run.means.sums, run.means.summed = np.array(state["sums"]), state["summed"]
        return level

    def _check_plan(self, images_seen: int) -> None:
        """A run goes on as it stood: the levels so far, how far this one is faded in, and no end
        that has passed."""
        before, run = self._directory.config(), self._run
        if before is None:
            return
        was, now = Growth.of(before, len(run.source)), run.growth
        if was.path(images_seen) != now.path(images_seen):
            lengths = ",".join(f"{epochs:g}" for epochs in run.config.epochs_by_level)
            raise ConfigError(
                f"--epochs_by_level={lengths}: the run in {self._directory.path} has seen "
                f"{images_seen:,} images and is at {_told(was.path(images_seen))} images; it would "
                f"be at {_told(now.path(images_seen))}. Only levels that it has not reached may be "
                "given another length."
            )
        if now.total < min(images_seen, was.total):
            raise ConfigError(
                f"--epochs={run.config.epochs:g}: would end after {now.total:,} images, and the "
                f"run in {self._directory.path} has seen {images_seen:,}; give "
                f"{before.epochs:g}, or more to lengthen it."
            )

    def _begin_from(self, other: str) -> int:
        """Begins with the weights of another run; returns its level."""
        run = self._run
        there = existing_run(other, "--init_from")
        level = checkpoint.take_over(training_variables(run.trainer), there)["level"]
        run.images_seen = self._imported_at(level, f"weights of {other}")
        return level

    def _imported_at(self, level: int, weights: str) -> int:
        """Where a run of weights that were trained elsewhere goes on: as soon as `level`, at which
        they stand, is faded in."""
        run = self._run
        images_seen = run.growth.faded_in(level)
        if images_seen >= run.growth.total:
            raise ConfigError(
                f"--epochs={run.config.epochs:g}: {weights} go on where level {level} is faded in, "
                f"here after {images_seen / len(run.source):g} epochs; give more."
            )
        if self._chief:
            print(f"train: {weights}, at level {level}, which counts as faded in.", file=sys.stderr)
        return images_seen

    def save(self) -> bool:
        """Writes a checkpoint of this moment; returns whether it could be."""
        run = self._run
        run.means.settle()
        state = {
            "images_seen": run.images_seen,
            "level": run.level,
            "blend": run.blend,
            "dataset_size": len(run.source),
            "sums": run.means.sums.tolist(),
            "summed": run.means.summed,
        }
        saved = self._reach(
            lambda: checkpoint.save(
                training_variables(run.trainer),
                self._directory.path,
                state,
                run.config.keep_checkpoints,
            )
        )
        if saved:
            self.saved_at = run.images_seen
        self._next = time.monotonic() + (
            60 * run.config.checkpoint_minutes if saved else RETRY_SECONDS
        )
        return saved

    def save_patiently(self, interrupt: Interrupt) -> None:
        """Saves what is not saved yet; waits a while for a run directory that is away."""
        begun = time.monotonic()
        while self.saved_at != self._run.images_seen and not self.save():
            patience = HASTE_SECONDS if interrupt.asked else PATIENCE_SECONDS
            if time.monotonic() - begun > patience:
                raise OSError(errno.ENOENT, "is away")
            time.sleep(1.0)

    def kept(self) -> str:
        """What a user should know when a run has stopped."""
        if not self._chief:
            return "What the first worker saved is kept."
        if self.saved_at is None:
            return "No new checkpoint was written."
        return (
            f"The checkpoint at {self.saved_at:,} images is kept; the same command goes on from it."
        )


def _told(path: tuple[list[int], float]) -> str:
    """A path as `Growth.path` gives it, for people."""
    starts, blend = path
    began = ", ".join(f"{start:,}" for start in starts)
    return f"level {len(starts) - 1}, blend {blend:.3f}, its levels begun at {began}"
