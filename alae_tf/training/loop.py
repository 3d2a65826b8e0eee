"""The training loop: plain Python around the traced step."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from alae_tf import data
from alae_tf.autoencoder import Autoencoder
from alae_tf.config import Config, ConfigError
from alae_tf.data import DataError, Source
from alae_tf.errors import described, reason, told
from alae_tf.runs.checkpoint import NonFiniteError
from alae_tf.runs.directory import RunDirectory, RunTakenError
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.iterations import Iterations
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
SAID = 1.05  # a run that its last batch makes longer than by this is told


def train(
    config: Config,
    directory: RunDirectory,
    resume: str = "auto",
    finished: Callable[[Autoencoder, Source], None] | None = None,
    make_measure: MakeMeasure | None = None,
    callbacks: Sequence[Callback] = (),
) -> int:
    """Trains, or goes on training, until the config's epochs are over.

    Args:
        config: what to train, on what.
        directory: where.
        resume: as of `RunDirectory.check`.
        finished: called by the chief with the EMA weights and the images once the run is over.
        make_measure: called by the chief with the images before any work; what it returns is
            called with the EMA weights every --evaluate_images, and tells values by name.
        callbacks: each called by the chief with every row of metrics.csv, by column, and the sample
            grid, uint8 [H, W, C], either None where there is no new one. One that fails is told
            of, and the run goes on.

    Returns:
        The exit code: 0 done; 1 stopped by an error, told on stderr; 128 + n stopped by signal n
        after saving; 75 likewise, by --max_hours or with another worker.

    Raises:
        ConfigError, data.DataError, checkpoint.CheckpointError: before any work.
    """
    interrupt = Interrupt(config.max_hours)
    strategy = make_strategy(config)
    chief = is_chief(strategy)
    if chief:
        directory.check(config, resume)
    source = open_data(config)
    measure = None
    if chief:
        if make_measure is not None and config.evaluate_images:
            measure = make_measure(source)
        directory.open()
        device = tf.config.list_logical_devices()[-1].device_type
        tell(
            f"{config.data} ({len(source):,} images) on {strategy.num_replicas_in_sync} {device}, "
            f"run in {directory.path}"
        )
    with contextlib.closing(directory):
        try:
            run = Run(config, directory, source, strategy, measure, callbacks)
        except tf.errors.ResourceExhaustedError as error:
            first = str(error).splitlines()[0]
            return failed(f"out of memory for the networks alone; make them smaller ({first}).")
        return carry_out(run, interrupt, finished)


def carry_out(
    run: Run, interrupt: Interrupt, finished: Callable[[Autoencoder, Source], None] | None
) -> int:
    """Goes on with a run until it is over; returns the exit code of `train`."""
    kept = run.saver.kept
    try:
        run.begin()
        with interrupt:  # not earlier: the strategy of several workers takes SIGTERM for itself
            done = run.go(interrupt)
        if done and run.chief and finished is not None:
            finished(run.sampler.model, run.iterations.source)
    except KeyboardInterrupt:  # the second one, or the first before the loop
        failed(f"stopped at once. {kept()}")
        return 130
    except NonFiniteError as error:
        return failed(f"{error}. {kept()} Lower --learning_rate_by_level, or it will again.")
    except MemoryError as error:
        return failed(f"out of memory ({str(error) or 'in Python'}). {kept()}")
    except tf.errors.ResourceExhaustedError as error:
        first = str(error).splitlines()[0]
        return failed(
            "out of memory; raise --accumulate or try a smaller --batch_by_level "
            f"({first}). {kept()}"
        )
    except tf.errors.OpError as error:
        gone = " Is another worker gone? Start all of them again." if run.workers > 1 else ""
        return failed(f"{reason(error.message)}.{gone} {kept()}")
    except LostImages as error:
        return failed(f"{error} {kept()}")
    except RunTakenError as error:
        return failed(str(error))
    except OSError as error:
        where = f"--run_dir={run.directory.path}"
        if run.reach.away:
            return failed(f"{where}: is away. What was saved is there when it is back.")
        at = "" if error.filename else f"{where}: "
        return failed(f"{at}{told(error)}. {kept()}")
    if not done:
        if run.chief:
            tell(f"{interrupt.reason}. {kept()}")
        return interrupt.exit_code
    return 0


def tell(message: str) -> None:
    """Prints a line for the user on stderr."""
    print(f"train: {message}", file=sys.stderr)


def failed(message: str) -> int:
    """Tells why the run stopped; returns the exit code."""
    tell(message)
    return 1


def open_data(config: Config) -> Source:
    """Opens the config's images and checks that they fit the model."""
    source = data.open_source(config.data)
    if source.channels != config.image_channels:
        raise ConfigError(
            f"--data={config.data}: its images have {source.channels} channels; set "
            f"--image_channels={source.channels} (it is {config.image_channels})"
            f"{or_read_as(config)}."
        )
    source.tell_sizes(config.resolution)
    return source


def or_read_as(config: Config) -> str:
    """How a folder's images can be read with the channels that a config has, where they can."""
    if not config.data.startswith("folder:") or "channels=" in config.data:
        return ""
    joint = "&" if "?" in config.data else "?"
    return f", or read them so: --data={config.data}{joint}channels={config.image_channels}"


class LostImages(Exception):
    """An image could not be read any more, and the run has been saved."""


class Run:
    """A run on its way.

    Args: as of `train`; strategy: over which the step is distributed; measure: what
        `make_measure` returned.

    Attributes:
        chief: whether this process writes the run's files.
        workers: processes that train together.
        iterations: where the run stands, and its step.
        saver, sampler, recorder: what is called at intervals, of the chief alone.
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
        self._callbacks = callbacks
        self._measure, self._measured = measure or (None, ())
        self.config, self.directory = config, directory
        self.chief, self.workers = is_chief(strategy), workers(strategy)
        self.iterations = Iterations(config, source, strategy)
        self.reach = Reach(directory)
        self.saver = Saver(self.iterations, directory, self.reach, self.chief)
        self.sampler = Sampler(self.iterations, directory, self.reach)
        self.recorder = Recorder(self.iterations, directory, self.reach)

    def begin(self) -> None:
        """Goes to where the run stands, and opens its files; writes nothing before all checks."""
        run = self.iterations
        level = self.saver.restore()
        if self.workers > 1 and len(set(all_gather(run.strategy, run.images_seen))) > 1:
            raise ConfigError(
                f"--run_dir={self.directory.path}: the workers find different checkpoints there; "
                "it must be on a disk that all of them share."
            )
        self.enter_level(0 if level is None else level)
        if not self.chief:
            return
        if level is not None:
            tell(f"goes on after {run.images_seen:,} images.")
            for line in self.directory.changes(self.config).values():
                tell(f"with another setting: {line}")
        end = run.growth.end(self.config.batch_size, run.images_seen)
        if end > SAID * run.growth.total and not run.finished:
            tell(
                f"ends after {end:,} images, not {run.growth.total:,} (--epochs="
                f"{self.config.epochs:g}): batches (--batch_by_level) are never cut."
            )
        self.directory.sweep()
        self.directory.write_config(self.config, run.images_seen)
        self.recorder.open(self._measured)

    def go(self, interrupt: Interrupt) -> bool:
        """Iterates until the end (True) or until asked to stop (False), and saves."""
        run = self.iterations
        with contextlib.closing(self.recorder):
            if self.chief and self.saver.saved_at is None:
                self.save()
            try:
                while not run.finished and not self.stopping(interrupt):
                    self.iterate(interrupt.asked)
            except DataError as error:  # no iteration has begun without its images
                if self.chief:
                    self.saver.save_patiently(interrupt)
                raise LostImages(str(error)) from None
        if self.chief:
            self.saver.save_patiently(interrupt)
            if run.finished:
                self.draw()
                print(
                    f"train: done, {run.images_seen:,} images. "
                    f"Pictures in {self.directory.samples}/"
                )
            self.recorder.flush()
        return run.finished

    def stopping(self, interrupt: Interrupt) -> bool:
        """Whether to stop now. Several workers do after the same iteration, or they would wait
        for each other for ever: after the one that told all of them that one was asked to."""
        return interrupt.asked if self.workers == 1 else self.iterations.stop

    def iterate(self, asked: bool) -> None:
        """One iteration, and what is due after it."""
        run = self.iterations
        before = run.images_seen
        level = run.growth.at(before).level
        if level != run.level:
            self.enter_level(level)
            run.trainer.reset_optimizers()
            if self.chief:
                self.save()
        self.recorder.count(run.take(asked))
        if self.chief:
            self.at_intervals(before)

    def enter_level(self, level: int) -> None:
        """Points images, model and pictures at a level; changes nothing if images are lost."""
        originals = self.sampler.originals(level) if self.chief else None
        self.iterations.enter_level(level)
        if originals is not None:
            self.sampler.enter_level(level, originals)

    def at_intervals(self, before: int) -> None:
        """What is due since `before` images had been seen."""

        def due(every: int) -> bool:
            return before // every != self.iterations.images_seen // every

        if self._measure is not None and due(self.config.evaluate_images):
            self.measure()
        row = self.recorder.row() if due(self.config.log_images) else None
        grid = self.draw() if due(self.config.sample_images) else None
        if row is not None or grid is not None:
            self.call_back(row, grid)
        if self.saver.due:
            self.save()

    def measure(self) -> None:
        """How good the EMA weights are at this moment."""
        assert self._measure is not None
        self.sampler.model.blend = self.iterations.blend
        self.sampler.model.images_seen = self.iterations.images_seen
        self.recorder.measured(self._measure(self.sampler.model))

    def call_back(self, row: dict[str, float] | None, grid: np.ndarray | None) -> None:
        """Tells those who listen."""
        for callback in self._callbacks:
            try:
                callback(row, grid)
            except Exception as error:  # another's code, as of a service that is away
                tell(f"a callback failed ({described(error)}); the run goes on.")

    def draw(self) -> np.ndarray:
        """The pictures of this moment: a grid, uint8 [H, W, C]."""
        grid = self.sampler.draw()
        self.recorder.image(grid)
        return grid

    def save(self) -> None:
        """A checkpoint of this moment, and what TensorBoard was told until now."""
        if self.saver.save():
            self.recorder.flush()
