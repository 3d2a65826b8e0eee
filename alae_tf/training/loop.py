"""The training loop: plain Python around the traced step of `Trainer`.

`train` prepares a `Run`, whose `begin` restores the newest checkpoint and whose `go` iterates:
enter the level that is due, take a batch through Algorithm 1, and at intervals record losses, draw
samples, measure and save. `Progress` holds the state of the run; `Recorder`, `Sampler` and `Saver`
write its files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from alae_tf import data
from alae_tf.config import Config, ConfigError
from alae_tf.data import DataError, Source
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import REPORT, RunDirectory, best_checkpoint
from alae_tf.system.errors import WarnOnce, printable, report
from alae_tf.training import algorithm, endings, health, report_page
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.progress import Progress
from alae_tf.training.quality import MakeMeasure, Measurement, Quality
from alae_tf.training.reach import Reach
from alae_tf.training.recorder import Recorder
from alae_tf.training.sampler import Sampler
from alae_tf.training.saver import Saver, patience
from alae_tf.training.strategy import all_gather, is_chief, make_strategy, worker_index, workers

# (new row of metrics.csv, new sample grid), None for what is not due
Callback = Callable[[dict[str, float] | None, np.ndarray | None], None]
LONGER = 1.05  # whole batches may lengthen a run by this factor without a report


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
        make_measure: called by the chief with the images before any work; see
            `quality.MakeMeasure`.
        callbacks: called by the chief with every row of metrics.csv, by column, and every sample
            grid, uint8 [H, W, 3]; either may be None. A failing callback is reported, and
            training continues.

    Returns:
        The exit code. 0 done; 1 stopped by an error, which is reported; 128 + n stopped by signal
        n, after saving; 75 stopped by --max_hours or with another worker, after saving.

    Raises:
        ConfigError, data.DataError, checkpoint.CheckpointError: before any work.
    """
    algorithm.chosen(config)  # reports what is wrong before any work
    interrupt = Interrupt(config.max_hours)
    strategy = make_strategy(config)
    chief = is_chief(strategy)
    if chief:
        directory.fetch()
        directory.check(config, resume)
    source = data.open_source(config.data)
    data.check_channels(source, config.image_channels)
    source.check_batch(max(map(config.batch_size, range(config.levels))))
    source.warn_about_sizes(config.resolution)
    data.warn_about_classes(source, config.turning)
    measure = make_measure(source) if chief and make_measure is not None else None
    if chief:
        directory.open()
        device = tf.config.list_logical_devices()[-1].device_type
        devices = f"{strategy.num_replicas_in_sync} {device}"
        images = f"{config.data} ({len(source):,} images)"
        report("train", f"{images} on {devices}, run in {directory.given}")
    with contextlib.closing(directory):
        if workers(strategy) > 1:
            all_gather(strategy, 0)  # the others wait until the chief has locked the run
            if not chief:
                directory.follow(worker_index(strategy))
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
    """Trains until the run is over or stopped; returns the exit code of `train`."""
    try:
        run.begin()
        interrupt.on_first = lambda: report(
            "train", "stopping after this iteration; a second signal stops it at once."
        )
        interrupt.on_second = lambda: report("train", f"stopped at once. {run.saver.kept()}")
        with interrupt:  # not earlier: a multi-worker strategy installs its own SIGTERM handler
            done = run.go(interrupt)
            run.directory.finish(lambda: patience(interrupt))
        if done and run.chief and finished is not None:
            finished(run.sampler.model, run.progress.source)
    except KeyboardInterrupt:  # before or after the loop
        report("train", f"stopped at once. {run.saver.kept()}")
        return 130
    except endings.ERRORS as error:
        report("train", endings.message(error, run))
        return 1
    if done:
        return 0
    if run.chief:
        report("train", f"{interrupt.reason}. {run.saver.kept()}")
    return interrupt.exit_code


class Run:
    """A run in progress.

    Args: see `train`; measure: the result of `make_measure`.

    Attributes:
        chief: whether this process writes the run's files.
        workers: number of processes that train together.
        saver, sampler, recorder, health, quality: used by the chief alone.
    """

    def __init__(
        self,
        config: Config,
        directory: RunDirectory,
        source: Source,
        strategy: tf.distribute.Strategy,
        measure: Measurement | None,
        callbacks: Sequence[Callback],
    ):
        self._callbacks, self._warn_once = callbacks, WarnOnce("train", "training continues")
        self.config, self.directory = config, directory
        self.chief, self.workers = is_chief(strategy), workers(strategy)
        self.progress = Progress(config, source, strategy)
        self.reach = Reach(directory)
        self.saver = Saver(self.progress, directory, self.reach, self.chief)
        self.sampler = Sampler(self.progress, directory, self.reach)
        self.recorder = Recorder(self.progress, directory, self.reach)
        self.health = health.Health(self.progress, directory)
        self.quality = Quality(self.progress, directory.path, measure)

    def begin(self) -> None:
        """Restores the newest checkpoint and opens the run's files; all checks come first."""
        progress = self.progress
        level = self.saver.restore()
        if self.workers > 1 and len(set(all_gather(progress.strategy, progress.images_seen))) > 1:
            raise ConfigError(
                f"{self.directory.flag}: the workers find different checkpoints in it; "
                "it must be on a disk that all of them share."
            )
        self.enter_level(0 if level is None else level)
        if not self.chief:
            return
        if self.saver.saved_at is not None or progress.images_seen:
            report("train", f"continues after {progress.images_seen:,} images.")
            for line in self.directory.changes(self.config).values():
                report("train", f"with another setting: {line}")
        if not progress.finished:
            end = progress.growth.end(self.config.batch_size, progress.images_seen)
            if end > LONGER * (total := progress.growth.total):
                why = "a level's last batch (--batch_by_level) is never cut"
                asked = f"not {total:,} (--epochs={self.config.epochs:g})"
                report("train", f"ends after {end:,} images, {asked}: {why}.")
            left = f"{end - progress.images_seen:,} images are left"
            half = f"the EMA's half-life is {self.config.ema_images:,.0f} images (--ema_images)"
            report("train", f"{left}; {half}.")
        self.directory.sweep()
        self.directory.write_config(self.config, progress.images_seen)
        self.recorder.open([*self.quality.values, *health.NAMES])
        self.health.open()
        self.quality.open()

    def go(self, interrupt: Interrupt) -> bool:
        """Iterates until the end (True) or until asked to stop (False), and saves."""
        with contextlib.closing(self.recorder):
            if self.chief and self.saver.saved_at is None:
                self.save()
            try:
                while not self.progress.finished and not self.stopping(interrupt):
                    self.iterate(interrupt.asked)
            except DataError as error:  # raised between iterations, so the state is whole
                if self.chief:
                    self.saver.save_patiently(interrupt)
                raise endings.LostImages(str(error)) from None
        if self.chief:
            self.saver.save_patiently(interrupt)
            if self.progress.finished:
                self.draw()
                seen, where = self.progress.images_seen, self.directory.given
                print(f"train: done, {seen:,} images. Pictures in {where}/samples/")
                self.show_best()
            self.keep()
        return self.progress.finished

    def show_best(self) -> None:
        with self._warn_once.on_failure("finding the best checkpoint"):
            if best := best_checkpoint(self.directory.path):
                value = f"{best['value']} = {best['is']:.4g}"
                where = f"{best['images_seen']:,} images ({value}; --checkpoint=best)"
                print(printable(f"train: the best checkpoint is the one at {where}."))

    def stopping(self, interrupt: Interrupt) -> bool:
        """Whether to stop now. Several workers learn within an iteration that one of them was asked
        to, and stop together after it; otherwise they would wait for each other forever."""
        return interrupt.asked if self.workers == 1 else self.progress.stop

    def iterate(self, asked: bool) -> None:
        """One iteration of Algorithm 1, and the work that is due after it."""
        before = self.progress.images_seen
        level = self.progress.growth.at(before).level
        if level != self.progress.level:
            self.enter_level(level)
            self.progress.trainer.reset_optimizers()
            if self.chief:
                self.save()
        if self.chief and level not in self.progress.trainer.traces:
            report("train", f"building the graphs of level {level}.")
        self.recorder.count(self.progress.take(asked))
        if self.chief:
            self.at_intervals(before)

    def enter_level(self, level: int) -> None:
        """Switches images, model and pictures to a level; changes nothing on a DataError."""
        originals = self.sampler.originals(level) if self.chief else None
        self.progress.enter_level(level)
        if originals is not None:
            self.sampler.enter_level(level, originals)

    def at_intervals(self, before: int) -> None:
        """Does the work that fell due since `before` images: measure, examine, row, samples,
        checkpoint."""

        def due(every: int) -> bool:
            return before // every != self.progress.images_seen // every

        finished = self.progress.finished
        best = self.measure() if self.quality.due(before) else None
        if due(self.config.sample_images) or finished:
            with self._warn_once.on_failure("examining the run's health"):
                self.recorder.measured(self.health.examine(self.sampler.model))
        row = self.recorder.row() if due(self.config.log_images) or finished else None
        grid = self.draw() if due(self.config.sample_images) else None
        if row is not None or grid is not None:
            for callback in self._callbacks:
                with self._warn_once.on_failure("a callback"):
                    callback(row, grid)
        if best is not None:
            self.saver.save_best(best)
            self.keep()
        elif self.saver.due:
            self.save()

    def measure(self) -> dict[str, Any] | None:
        """Records the metrics of the current EMA weights; a failure does not end the run. Returns a
        description of the checkpoint to write if it is the best so far."""
        model = self.sampler.model
        model.blend, model.images_seen = self.progress.blend, self.progress.images_seen
        with self._warn_once.on_failure("--evaluate_metrics"):
            values = self.quality.measure(model)
            self.recorder.measured(values)
            with self._warn_once.on_failure("comparing with the best checkpoint"):
                return self.quality.record(values)
        return None

    def draw(self) -> np.ndarray:
        """Writes and returns a sample grid, uint8 [H, W, 3], and rewrites the report; a report that
        cannot be drawn does not end the run."""
        grid, page = self.sampler.draw(), None
        self.recorder.image(grid)
        with self._warn_once.on_failure(f"drawing {REPORT}"):
            values = [*self.quality.values]
            page = report_page.page(self.directory, self.progress, self.health, values)
        if page is not None:
            self.reach(lambda: self.directory.replace(self.directory.path / REPORT, page))
        return grid

    def save(self) -> None:
        """Writes a checkpoint, and what was recorded before it."""
        if self.saver.save():
            self.keep()

    def keep(self) -> None:
        """Flushes TensorBoard's events, and begins to upload the run if it is in storage."""
        self.recorder.flush()
        self.directory.publish()
