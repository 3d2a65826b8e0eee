"""The training loop: plain Python around the traced step."""

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf import data
from alae_tf.autoencoder import Autoencoder
from alae_tf.config import Config, ConfigError
from alae_tf.data import Source
from alae_tf.evaluation.representation import features, nearest_neighbour_accuracy
from alae_tf.files import write_atomic
from alae_tf.images import picture, plots
from alae_tf.runs import checkpoint
from alae_tf.runs.directory import RunDirectory
from alae_tf.training import sampler
from alae_tf.training.events import Events
from alae_tf.training.faults import AWAY, full_disk_as_such, reason
from alae_tf.training.feed import feed
from alae_tf.training.interrupt import Interrupt
from alae_tf.training.saver import training_variables
from alae_tf.training.schedule import Growth
from alae_tf.training.step import UPDATES, Trainer
from alae_tf.training.strategy import all_gather, is_chief, make_strategy, workers

RETRY_SECONDS = 10.0
MIN_LOSS_SCALE = 2.0**-10  # of float16; a scale below it helps nothing any more
PATIENCE_SECONDS = 1800.0  # for a run directory that is away at the end of a run
MOST_NEIGHBOURS = 100_000  # images that the closing 1-NN compares with; it holds them in memory
HASTE_SECONDS = 6.0  # the same after a signal


def train(config: Config, directory: RunDirectory, resume: str = "auto") -> int:
    """Trains, or goes on training, until the config's epochs are over.

    Args:
        config: what to train, on what.
        directory: where.
        resume: as of `RunDirectory.check`.

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
    if chief:
        directory.open()
        print(
            f"train: {config.data} ({len(source):,} images) on "
            f"{strategy.num_replicas_in_sync} "
            f"{tf.config.list_logical_devices()[-1].device_type}, run in {directory.path}",
            file=sys.stderr,
        )
    with contextlib.closing(directory):
        try:
            run = Run(config, directory, source, strategy)
        except tf.errors.ResourceExhaustedError as error:
            first = str(error).splitlines()[0]
            return failed(f"out of memory for the networks alone; make them smaller ({first}).")
        return carry_out(run, interrupt)


def carry_out(run: Run, interrupt: Interrupt) -> int:
    """Goes on with a run until it is over; returns the exit code of `train`."""
    try:
        run.restore()
        with interrupt:  # not earlier: the strategy of several workers takes SIGTERM for itself
            finished = run.go(interrupt)
    except KeyboardInterrupt:  # the second one, or the first before the loop
        failed(f"stopped at once. {run.kept()}")
        return 130
    except checkpoint.NonFiniteError as error:
        return failed(f"{error}. {run.kept()} Lower --learning_rate_by_level, or it will again.")
    except tf.errors.ResourceExhaustedError as error:
        first = str(error).splitlines()[0]
        return failed(
            "out of memory; raise --accumulate or try a smaller --batch_by_level "
            f"({first}). {run.kept()}"
        )
    except tf.errors.OpError as error:
        gone = " Is another worker gone? Start all of them again." if run.workers > 1 else ""
        return failed(f"{reason(error.message)}.{gone} {run.kept()}")
    except OSError as error:
        where = f"--run_dir={run.directory.path}"
        if run.away:
            return failed(f"{where}: is away. What was saved is there when it is back.")
        return failed(f"{where}: {error.strerror or error}. {run.kept()}")
    if not finished:
        if run.chief:
            print(f"train: {interrupt.reason}. {run.kept()}", file=sys.stderr)
        return interrupt.exit_code
    return 0


def failed(message: str) -> int:
    """Tells why the run stopped; returns the exit code."""
    print(f"train: {message}", file=sys.stderr)
    return 1


def open_data(config: Config) -> Source:
    """Opens the config's images and checks that they fit the model."""
    source = data.open_source(config.data)
    if source.channels != config.image_channels:
        raise ConfigError(
            f"--data={config.data}: its images have {source.channels} channels; set "
            f"--image_channels={source.channels} (it is {config.image_channels})."
        )
    return source


class Run:
    """A run on its way.

    Args: as of `train`; strategy: over which the step is distributed.

    Attributes:
        images_seen: int. How far it is.
        level: int, or −1 before the first iteration.
    """

    def __init__(self, config, directory, source, strategy):
        self.config, self.directory, self.source = config, directory, source
        self.strategy = strategy
        self.chief, self.workers = is_chief(strategy), workers(strategy)
        self.growth = Growth.of(config, len(source))
        self.trainer = Trainer(config, strategy)
        self.images_seen, self.level = 0, -1
        self.saved_at: int | None = None
        self.sums = np.zeros(len(UPDATES))
        self.summed = 0  # iterations in `sums`
        self.row_images = 0  # images of this process since the last row
        self.pending = None
        self.stop = None  # of the latest iteration: whether a worker was asked to stop
        self.away = False  # the run directory cannot be reached
        self.model: Autoencoder | None = None

    def restore(self) -> None:
        """Goes back to the newest whole checkpoint, if there is one."""
        state = checkpoint.restore(
            training_variables(self.trainer), self.directory.path, self.chief
        )
        if state is not None and state["dataset_size"] is None:
            self.images_seen = self.imported_at(state["level"])
        elif state is not None:
            if state["dataset_size"] != len(self.source):
                raise ConfigError(
                    f"--data={self.config.data}: has {len(self.source):,} images, and "
                    f"{state['dataset_size']:,} when the run in {self.directory.path} was saved; "
                    "give the same images, or another --run_dir."
                )
            self.images_seen = self.saved_at = state["images_seen"]
            self.sums, self.summed = np.array(state["sums"]), state["summed"]
        if self.workers > 1 and len(set(all_gather(self.strategy, self.images_seen))) > 1:
            raise ConfigError(
                f"--run_dir={self.directory.path}: the workers find different checkpoints there; "
                "it must be on a disk that all of them share."
            )
        if state is not None:
            self.enter_level(state["level"])
        if not self.chief:
            return
        if state is not None:
            print(f"train: goes on after {self.images_seen:,} images.", file=sys.stderr)
        # Not earlier: what has been checked by now may refuse the config.
        self.directory.write_config(self.config, self.images_seen)
        self.directory.rewind_metrics(self.images_seen)
        with full_disk_as_such():
            self.events = Events(self.directory.tensorboard, self.images_seen)

    def imported_at(self, level: int) -> int:
        """Where a run of imported weights, which tell no images seen, goes on: as soon as `level`,
        at which they stand, is faded in."""
        images_seen = self.growth.faded_in(level)
        if images_seen >= self.growth.total:
            raise ConfigError(
                f"--epochs={self.config.epochs:g}: imported weights go on where level {level} is "
                f"faded in, here after {images_seen / len(self.source):g} epochs; give more."
            )
        if self.chief:
            print(f"train: imported weights, at level {level} and faded in.", file=sys.stderr)
        return images_seen

    def save(self) -> bool:
        """Writes a checkpoint of this moment; returns whether it could be."""
        self.check_losses()
        state = {
            "images_seen": self.images_seen,
            "level": self.level,
            "blend": self.blend,
            "dataset_size": len(self.source),
            "sums": self.sums.tolist(),
            "summed": self.summed,
        }

        def write():
            self.directory.require()
            checkpoint.save(
                training_variables(self.trainer),
                self.directory.path,
                state,
                self.config.keep_checkpoints,
            )
            self.saved_at = self.images_seen
            self.events.flush()

        saved = self.reach(write)
        wait = 60 * self.config.checkpoint_minutes if saved else RETRY_SECONDS
        self.next_save = time.monotonic() + wait
        return saved

    def reach(self, write: Callable[[], None]) -> bool:
        """Writes into the run directory, or says (once) that it is away and returns False.

        Raises:
            OSError: it cannot be written for another reason, as a full disk.
        """
        where = f"--run_dir={self.directory.path}"
        try:
            with full_disk_as_such():
                write()
        except (OSError, tf.errors.OpError) as error:
            number = getattr(error, "errno", errno.EIO)
            if number not in AWAY or (number == errno.ENOENT and self.directory.there):
                raise
            if not self.away:
                why = getattr(error, "strerror", None) or "cannot be written"
                message = f"train: {where}: {why}; training goes on and saves when it is back."
                tqdm.write(message, file=sys.stderr)
            self.away = True
            return False
        if self.away:
            tqdm.write(f"train: {where}: is back.", file=sys.stderr)
            self.next_save = 0.0
        self.away = False
        return True

    def save_patiently(self, interrupt: Interrupt) -> None:
        """Saves what is not saved yet; waits a while for a run directory that is away."""
        begun = time.monotonic()
        while self.saved_at != self.images_seen and not self.save():
            patience = HASTE_SECONDS if interrupt.asked else PATIENCE_SECONDS
            if time.monotonic() - begun > patience:
                raise OSError(errno.ENOENT, "is away")
            time.sleep(1.0)

    @property
    def blend(self) -> float:
        """The blend of the current level, which at its very end is 1."""
        stage = self.growth.at(self.images_seen)
        return stage.blend if stage.level == self.level else 1.0

    def kept(self) -> str:
        """What a user should know when a run has stopped."""
        if not self.chief:
            return "What the first worker saved is kept."
        if self.saved_at is None:
            return "No checkpoint was written."
        return (
            f"The checkpoint at {self.saved_at:,} images is kept; the same command goes on from it."
        )

    def enter_level(self, level: int) -> None:
        """Points data and model at a level."""
        self.level = level
        self.trainer.set_learning_rate(level)
        self.batches = feed(self.strategy, self.source, self.config, level, self.images_seen)
        if not self.chief:
            return
        self.model = Autoencoder(self.config, self.trainer.ema, level)
        self.originals = data.fixed_images(
            self.source, self.model.resolution, sampler.grid_images(self.model.resolution)
        )

    def go(self, interrupt: Interrupt) -> bool:
        """Iterates until the end (True) or until asked to stop (False), and saves."""
        self.row_time = time.monotonic()
        self.next_save = self.row_time + 60 * self.config.checkpoint_minutes
        self.waited = 0.0
        bar = tqdm(
            total=self.growth.total,
            initial=self.images_seen,
            unit="img",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
            disable=not self.chief,
        )
        with bar:
            while self.images_seen < self.growth.total and not self.stopping(interrupt):
                self.iterate(bar, interrupt.asked)
        finished = self.images_seen >= self.growth.total
        if self.chief and self.level >= 0:
            self.save_patiently(interrupt)
        if self.chief and finished:
            self.finish()
        return finished

    def stopping(self, interrupt: Interrupt) -> bool:
        """Whether to stop now. Several workers do after the same iteration, or they would wait
        for each other for ever: after the one that told all of them that one was asked to."""
        if self.workers == 1:
            return interrupt.asked
        return self.stop is not None and float(self.stop) > 0

    def iterate(self, bar: tqdm, asked: bool) -> None:
        """One iteration, and what is due after it."""
        stage = self.growth.at(self.images_seen)
        if stage.level != self.level:
            self.enter_level(stage.level)
            self.trainer.reset_optimizers()
            if self.chief:
                self.save()
        batch = self.config.batch_size(self.level)
        start = time.monotonic()
        pixels = next(self.batches)
        self.waited += time.monotonic() - start
        losses = self.trainer.step(pixels, self.level, self.images_seen, stage.blend, asked)
        self.check_losses()
        before, self.images_seen = self.images_seen, self.images_seen + batch
        self.row_images += batch
        self.pending, self.stop = (before, losses), losses["stop"]
        bar.update(batch)
        if not self.chief:
            return

        def due(every: int) -> bool:
            return before // every != self.images_seen // every

        if due(self.config.log_images):
            self.log(bar)
        if due(self.config.sample_images):
            self.draw()
        if time.monotonic() > self.next_save:
            self.save()

    def check_losses(self) -> None:
        """Looks at the losses of the iteration before, which a GPU has finished by now."""
        if self.pending is None:
            return
        images_seen, losses = self.pending
        self.pending = None
        values = np.array([float(losses[name]) for name in UPDATES])
        if self.trainer.loss_scale is not None and not np.isfinite(values).all():
            if self.trainer.loss_scale.value.numpy() < MIN_LOSS_SCALE:
                raise checkpoint.NonFiniteError(
                    f"float16 overflows throughout at {images_seen:,} images; --precision=bfloat16 "
                    "does not"
                )
            return  # an update that was skipped
        for name, value in zip(UPDATES, values, strict=True):
            if not np.isfinite(value):
                raise checkpoint.NonFiniteError(
                    f"loss_{name} is {value} after {images_seen:,} images"
                )
        self.sums, self.summed = self.sums + values, self.summed + 1

    def log(self, bar: tqdm) -> None:
        """A row of metrics.csv and TensorBoard: means since the row before."""
        self.check_losses()
        if self.summed == 0:  # float16 skipped them all
            return
        now = time.monotonic()
        seconds = now - self.row_time
        means = dict(zip(UPDATES, (self.sums / self.summed).tolist(), strict=True))
        row = {
            "images_seen": self.images_seen,
            "level": self.level,
            "blend": self.blend,
            **{f"loss_{name}": value for name, value in means.items()},
            "learning_rate": self.config.learning_rate(self.level),
            "images_per_second": self.row_images / seconds,
            "data_wait": self.waited / seconds,
        }
        scale = self.trainer.loss_scale
        extra = {} if scale is None else {"loss_scale": scale.value.numpy()}

        def write():
            self.directory.add_metrics(row)
            self.events.scalars(self.images_seen, row | extra)

        self.reach(write)
        bar.set_postfix(
            level=self.level,
            blend=f"{row['blend']:.2f}",
            **{name: f"{value:.3f}" for name, value in means.items()},
            refresh=False,
        )
        self.sums, self.summed = np.zeros(len(UPDATES)), 0
        self.waited, self.row_time, self.row_images = 0.0, now, 0

    def draw(self) -> None:
        """A sample grid by the EMA weights, and the loss plot."""
        self.model.blend = self.blend
        grid = sampler.sample_grid(self.model, self.originals, self.config.seed)
        path = self.directory.samples / f"images-{self.images_seen:012d}.png"

        def write():
            self.directory.require()
            self.directory.samples.mkdir(exist_ok=True)
            write_atomic(path, picture.png(grid))
            self.events.image(self.images_seen, grid)
            rows = self.directory.read_metrics()
            if rows:
                write_atomic(self.directory.path / "losses.png", plots.loss_plot(rows))

        self.reach(write)

    def finish(self) -> None:
        """What a finished run shows: the last grid and, of up to `MOST_NEIGHBOURS` images with
        labels, the 1-NN accuracy."""
        self.draw()
        self.reach(self.events.flush)
        print(f"train: done, {self.images_seen:,} images. Pictures in {self.directory.samples}/")
        held_out = self.source.held_out
        if self.source.labels is None or held_out is None or held_out.labels is None:
            return
        if len(self.source) > MOST_NEIGHBOURS:
            print(f"train: no 1-nearest-neighbour accuracy with over {MOST_NEIGHBOURS:,} images.")
            return
        known, unknown = (
            features(self.model.encode, data.arrays(part, self.model.resolution))
            for part in (self.source, held_out)
        )
        accuracy = nearest_neighbour_accuracy(known, self.source.labels, unknown, held_out.labels)
        print(
            f"train: 1-nearest-neighbour accuracy on E(x): {100 * accuracy:.1f} % of "
            f"{len(held_out):,} held-out images ({len(self.source):,} to compare with)"
        )
