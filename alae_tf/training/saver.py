"""The checkpoints of a run in training: when they are written, and how a run continues from one."""

from __future__ import annotations

import dataclasses
import errno
import time

import keras
import numpy as np

from alae_tf.config import Config, ConfigError
from alae_tf.networks.names import named_variables
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import CONFIG, RunDirectory, existing_run
from alae_tf.system.errors import report
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach
from alae_tf.training.schedule import Growth, Stage
from alae_tf.training.trainer import Trainer

RETRY_SECONDS = 10.0
PATIENCE_SECONDS = 1800.0  # for a run directory that is unreachable at the end of a run
HASTE_SECONDS = 6.0  # the same for a run that was asked to stop


def patience(interrupt: Interrupt) -> float:
    """Seconds for which a run that ends waits for its directory to be reachable."""
    return HASTE_SECONDS if interrupt.asked else PATIENCE_SECONDS


def training_variables(trainer: Trainer) -> dict[str, keras.Variable]:
    """The variables in a checkpoint: the networks, their EMA, and the state of the optimizers, of
    float16's loss scale and of --augment=ada."""
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
    if trainer.config.augment == "ada":
        augment = trainer.augment
        named |= {f"augment/{name}": getattr(augment, name) for name in ("p", "signs", "counted")}
    return named


class Saver:
    """Saves and restores a run; `chief`: whether this process writes its files."""

    def __init__(self, progress: Progress, directory: RunDirectory, reach: Reach, chief: bool):
        self._progress, self._directory, self._reach = progress, directory, reach
        self._chief = chief
        self.saved_at: int | None = None  # images seen at the newest checkpoint
        self._next = time.monotonic() + 60 * progress.config.checkpoint_minutes

    @property
    def due(self) -> bool:
        return time.monotonic() > self._next

    def restore(self) -> int | None:
        """Restores the newest whole checkpoint. Without any, a run with --init_from begins with the
        weights of the run named there.

        Returns:
            The run's level; None for a run that begins with new weights.

        Raises:
            ConfigError: the config or its images do not match the checkpoint.
            CheckpointError: there are checkpoints and none can be read.
        """
        progress, where = self._progress, self._directory.given
        config, source = progress.config, progress.source
        state = checkpoint.restore(
            training_variables(progress.trainer), self._directory.path, self._chief
        )
        if state is None:
            return self._begin_from(config.init_from) if config.init_from else None
        level = state["level"]
        first, fades = state.get("first_level", 0), state.get("first_fades", False)
        progress.growth = dataclasses.replace(progress.growth, first=first, fades=fades)
        checkpoint.check_level(self._directory.path, state, config)
        if state["dataset_size"] is None:
            progress.images_seen = self._faded_in(level)
            return level
        if state["dataset_size"] != len(source):
            raise ConfigError(
                f"--data={config.data}: has {len(source):,} images, but the run in {where} was "
                f"trained on {state['dataset_size']:,}; give the same images, or start a new run "
                f"with its weights: --init_from={where} and another --run_dir."
            )
        self._check_plan(state["images_seen"])
        if len(state["sums"]) != len(progress.means.names):
            raise ConfigError(
                f"--updates={','.join(progress.means.names)}: the run in {where} has "
                f"{len(state['sums'])} updates; name the same updates, or give another --run_dir."
            )
        progress.images_seen = self.saved_at = state["images_seen"]
        progress.means.sums, progress.means.summed = np.array(state["sums"]), state["summed"]
        return level

    def _check_plan(self, images_seen: int) -> None:
        """Checks that the config leaves the past of a run unchanged (the levels so far and the
        current blend) and does not end it before `images_seen`."""
        before, progress, where = self._directory.config(), self._progress, self._directory.given
        if before is None:
            return
        now = progress.growth
        was = Growth.of(before, len(progress.source))
        was = dataclasses.replace(was, first=now.first, fades=now.fades)
        if was.path(images_seen) != now.path(images_seen):
            lengths = ",".join(f"{epochs:g}" for epochs in progress.config.epochs_by_level)
            raise ConfigError(
                f"--epochs_by_level={lengths}: the run in {where} has seen {images_seen:,} images "
                f"and is at {_described(was.path(images_seen))} images; with this setting it would "
                f"be at {_described(now.path(images_seen))}. Change only the lengths of levels "
                "that it has not reached."
            )
        if now.total < min(images_seen, was.total):
            raise ConfigError(
                f"--epochs={progress.config.epochs:g}: would end after {now.total:,} images, but "
                f"the run in {where} has seen {images_seen:,}; give {before.epochs:g} or more."
            )

    def _begin_from(self, other: str) -> int:
        """Takes the weights of another run; returns the level at which this run begins."""
        progress, other_dir = self._progress, existing_run(other, "--init_from")
        # Users get the EMA. If G and F do not move, E must learn with exactly these weights.
        ema = "F" not in progress.trainer.moved
        variables = training_variables(progress.trainer)
        config, before = progress.config, Config.load(other_dir / CONFIG)
        level = checkpoint.take_over(variables, other_dir, config.levels, ema)["level"]
        if config.freeze and level < config.levels - 1:
            raise ConfigError(
                f"--freeze={config.freeze}: its first block would be new, since "
                f"--init_from={other} is at level {level} of {config.levels - 1}; omit --freeze."
            )
        grows = level == before.levels - 1 < config.levels - 1
        progress.growth = dataclasses.replace(progress.growth, first=level + grows, fades=grows)
        if self._chief:
            report("train", f"starts with the weights of {other}, at level {level}, faded in.")
            if config.levels > before.levels:
                half = progress.growth.faded_in(level + 1)
                fading = f", and fade in over the first {half:,} images" if grows else ""
                report(
                    "train",
                    f"its layers up to {before.resolution} px are reused; layers above, up to "
                    f"{config.resolution} px, are new{fading}.",
                )
        return level + grows

    def _faded_in(self, level: int) -> int:
        """The images seen with which a run of imported weights starts: as many as it takes to fade
        in their level."""
        progress = self._progress
        images_seen = progress.growth.faded_in(level)
        if images_seen >= progress.growth.total:
            raise ConfigError(
                f"--epochs={progress.config.epochs:g}: the imported weights are at level {level}, "
                f"which is faded in after {images_seen / len(progress.source):g} epochs; give more."
            )
        if self._chief:
            report("train", f"starts with the imported weights, at level {level}, faded in.")
        return images_seen

    def save(self) -> bool:
        """Writes a checkpoint; returns False if the run directory is unreachable."""
        progress = self._progress
        progress.means.settle()
        state = {
            "images_seen": progress.images_seen,
            "level": progress.level,
            "blend": progress.blend,
            "first_level": progress.growth.first,
            "first_fades": progress.growth.fades,
            "dataset_size": len(progress.source),
            "sums": progress.means.sums.tolist(),
            "summed": progress.means.summed,
        }
        variables, keep = training_variables(progress.trainer), progress.config.keep_checkpoints
        saved = self._reach(lambda: checkpoint.save(variables, self._directory.path, state, keep))
        if saved:
            self.saved_at = progress.images_seen
        wait = 60 * progress.config.checkpoint_minutes if saved else RETRY_SECONDS
        self._next = time.monotonic() + wait
        return saved

    def save_best(self, about: dict[str, object]) -> None:
        """Writes a checkpoint and makes it the best one; `about` as in `directory.ABOUT_BEST`."""
        if self.saved_at == self._progress.images_seen or self.save():
            self._reach(lambda: checkpoint.mark_best(self._directory.path, about))

    def save_patiently(self, interrupt: Interrupt) -> None:
        """Saves unsaved progress; waits a while for a run directory that is unreachable."""
        begun = time.monotonic()
        while self.saved_at != self._progress.images_seen and not self.save():
            if time.monotonic() - begun > patience(interrupt):
                raise OSError(errno.ENOENT, "is unreachable")
            time.sleep(1.0)

    def kept(self) -> str:
        """A sentence for the user on what is saved when a run has stopped."""
        if not self._chief:
            return "The checkpoints of the first worker are kept."
        if self.saved_at is None:
            return "No new checkpoint was written."
        return f"The checkpoint at {self.saved_at:,} images is kept; the same command continues it."


def _described(path: tuple[Stage, list[int]]) -> str:
    """The result of `Growth.path`, in words."""
    stage, starts = path
    began = ", ".join(f"{start:,}" for start in starts)
    return f"level {stage.level}, blend {stage.blend:.3f}, with levels that began at {began}"
