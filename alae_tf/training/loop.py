"""The training loop: plain Python around the traced step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from alae_tf import data
from alae_tf.config import Config, ConfigError
from alae_tf.data import DataError, Source
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import WarnOnce, report
from alae_tf.training import endings
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach
from alae_tf.training.recorder import Recorder
from alae_tf.training.sampler import Sampler
from alae_tf.training.saver import Saver
from alae_tf.training.strategy import all_gather, is_chief, make_strategy, workers

# Values by name of a model, and their names; made of the images before any work.
Measure = Callable[[Autoencoder], dict[str, float]]
MakeMeasure = Callable[[Source], tuple[Measure, Sequence[str]]]
# Called with a row of metrics.csv and a sample grid, or None for either.
Callback = Callable[[dict[str, float] | None, np.ndarray | None], None]
LONGER = 1.05  # a run that its last batch makes longer by more than this factor is reported


def train(
    config: Config,
    directory: RunDirectory,
    resume: str = "auto",
    finished: Callable[[Autoencoder, Source], None] | None = None,
    make_measure: MakeMeasure | None = None,
    callbacks: Sequence[Callback] = (),
) -> int:
    """Trains, or continues training, until the config's epochs are over.

    Args:
        config: what to train, and on what.
        directory: where the run is stored.
        resume: see `RunDirectory.check`.
        finished: called by the chief with the EMA weights and the images once the run is over.
        make_measure: called by the chief with the images before any work; what it returns is
            called with the EMA weights every --evaluate_images, and gives values by name.
        callbacks: each called by the chief with every row of metrics.csv, by column, and every
            sample grid, uint8 [H, W, C]; either is None where there is no new one. One that fails
            is reported, and training continues.

    Returns:
        The exit code: 0 done; 1 stopped by an error, reported on stderr; 128 + n stopped by signal
        n after saving; 75 likewise, by --max_hours or with another worker.

    Raises:
        ConfigError, data.DataError, checkpoint.CheckpointError: before any work.
    """
    interrupt = Interrupt(config.max_hours)
    strategy = make_strategy(config)
    chief = is_chief(strategy)
    if chief:
        directory.check(config, resume)
    source = data.open_source(config.data)
    data.check_channels(source, config.image_channels)
    source.warn_about_sizes(config.resolution)
    measure = None
    if chief:
        if make_measure is not None and config.evaluate_images:
            measure = make_measure(source)
        directory.open()
        device = tf.config.list_logical_devices()[-1].device_type
        report(
            "train",
            f"{config.data} ({len(source):,} images) on {strategy.num_replicas_in_sync} {device}, "
            f"run in {directory.path}",
        )
    with contextlib.closing(directory):
        try:
            run = Run(config, directory, source, strategy, measure, callbacks)
        except tf.errors.ResourceExhaustedError as error:
            first = str(error).splitlines()[0]
            report("train", f"out of memory for the networks alone; make them smaller ({first}).")
            return 1
        return carry_out(run, interrupt, finished)


def carry_out(
    run: Run, interrupt: Interrupt, finished: Callable[[Autoencoder, Source], None] | None
) -> int:
    """Continues a run until it is over; returns the exit code of `train`."""
    try:
        run.begin()
        with interrupt:  # not earlier: the strategy of several workers takes SIGTERM for itself
            done = run.go(interrupt)
        if done and run.chief and finished is not None:
            finished(run.sampler.model, run.progress.source)
    except KeyboardInterrupt:  # the second one, or the first before the loop
        report("train", f"stopped at once. {run.saver.kept()}")
        return 130
    except tuple(endings.MESSAGES) as error:
        report("train", endings.message(error, run))
        return 1
    if done:
        return 0
    if run.chief:
        report("train", f"{interrupt.reason}. {run.saver.kept()}")
    return interrupt.exit_code


class Run:
    """A run on its way.

    Args: see `train`; strategy: over which the step is distributed; measure: what `make_measure`
        returned.

    Attributes:
        chief: whether this process writes the run's files.
        workers: processes that train together.
        progress: where the run stands, and its step.
        reach: writes into the run's directory.
        saver, sampler, recorder: called at intervals, by the chief alone.
    """

    def __init__(
        self,
        config: Config,
        directory: RunDirectory,
        source: Source,
        strategy: tf.distribute.Strategy,
        measure: tuple[Measure, Sequence[str]] | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        self._callbacks, self._warn_once = callbacks, WarnOnce("train", "training continues")
        self._measure, self._measured = measure or (None, ())
        self.config, self.directory = config, directory
        self.chief, self.workers = is_chief(strategy), workers(strategy)
        self.progress = Progress(config, source, strategy)
        self.reach = Reach(directory)
        self.saver = Saver(self.progress, directory, self.reach, self.chief)
        self.sampler = Sampler(self.progress, directory, self.reach)
        self.recorder = Recorder(self.progress, directory, self.reach)

    def begin(self) -> None:
        """Goes to where the run stands and opens its files; writes nothing before all checks."""
        at = self.progress
        level = self.saver.restore()
        if self.workers > 1 and len(set(all_gather(at.strategy, at.images_seen))) > 1:
            raise ConfigError(
                f"--run_dir={self.directory.path}: the workers find different checkpoints in it; "
                "it must be on a disk that all of them share."
            )
        self.enter_level(0 if level is None else level)
        if not self.chief:
            return
        if level is not None:
            report("train", f"continues after {at.images_seen:,} images.")
            for line in self.directory.changes(self.config).values():
                report("train", f"with another setting: {line}")
        end = at.growth.end(self.config.batch_size, at.images_seen)
        if end > LONGER * at.growth.total and not at.finished:
            report(
                "train",
                f"ends after {end:,} images, not {at.growth.total:,} (--epochs="
                f"{self.config.epochs:g}): batches (--batch_by_level) are never cut.",
            )
        self.directory.sweep()
        self.directory.write_config(self.config, at.images_seen)
        self.recorder.open(self._measured)

    def go(self, interrupt: Interrupt) -> bool:
        """Iterates until the end (True) or until asked to stop (False), and saves."""
        at = self.progress
        with contextlib.closing(self.recorder):
            if self.chief and self.saver.saved_at is None:
                self.save()
            try:
                while not at.finished and not self.stopping(interrupt):
                    self.iterate(interrupt.asked)
            except DataError as error:  # no iteration has begun without its images
                if self.chief:
                    self.saver.save_patiently(interrupt)
                raise endings.LostImages(str(error)) from None
        if self.chief:
            self.saver.save_patiently(interrupt)
            if at.finished:
                self.draw()
                print(
                    f"train: done, {at.images_seen:,} images. Pictures in {self.directory.samples}/"
                )
            self.recorder.flush()
        return at.finished

    def stopping(self, interrupt: Interrupt) -> bool:
        """Whether to stop now. Several workers stop after the same iteration, in which all of them
        learn that one was asked to; otherwise they would wait for each other forever."""
        return interrupt.asked if self.workers == 1 else self.progress.stop

    def iterate(self, asked: bool) -> None:
        """One iteration, and what is due after it."""
        at = self.progress
        before = at.images_seen
        level = at.growth.at(before).level
        if level != at.level:
            self.enter_level(level)
            at.trainer.reset_optimizers()
            if self.chief:
                self.save()
        self.recorder.count(at.take(asked))
        if self.chief:
            self.at_intervals(before)

    def enter_level(self, level: int) -> None:
        """Points images, model and pictures at a level; changes nothing if images are lost."""
        originals = self.sampler.originals(level) if self.chief else None
        self.progress.enter_level(level)
        if originals is not None:
            self.sampler.enter_level(level, originals)

    def at_intervals(self, before: int) -> None:
        """What is due since `before` images had been seen."""

        def due(every: int) -> bool:
            return before // every != self.progress.images_seen // every

        if self._measure is not None and due(self.config.evaluate_images):
            self.measure(self._measure)
        row = self.recorder.row() if due(self.config.log_images) else None
        grid = self.draw() if due(self.config.sample_images) else None
        if row is not None or grid is not None:
            for callback in self._callbacks:
                with self._warn_once.on_failure("a callback"):
                    callback(row, grid)
        if self.saver.due:
            self.save()

    def measure(self, measure: Measure) -> None:
        """Measures the EMA weights of this moment."""
        model = self.sampler.model
        model.blend, model.images_seen = self.progress.blend, self.progress.images_seen
        with self._warn_once.on_failure("--evaluate_metrics"):  # no measurement is worth the run
            self.recorder.measured(measure(model))

    def draw(self) -> np.ndarray:
        """The pictures of this moment: a grid, uint8 [H, W, C]."""
        grid = self.sampler.draw()
        self.recorder.image(grid)
        return grid

    def save(self) -> None:
        """A checkpoint of this moment, and TensorBoard's events until now."""
        if self.saver.save():
            self.recorder.flush()
