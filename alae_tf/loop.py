"""The training loop: plain Python around the traced step."""

from __future__ import annotations

import sys
import time

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf import checkpoint, data, pictures
from alae_tf.autoencoder import Autoencoder
from alae_tf.config import Config, ConfigError
from alae_tf.data import Source
from alae_tf.metrics.representation import features, nearest_neighbour_accuracy
from alae_tf.run_dir import RunDirectory, write_beside
from alae_tf.schedule import Growth
from alae_tf.signals import Signals
from alae_tf.train_step import UPDATES, Trainer


class NonFiniteLossError(ArithmeticError):
    """A loss is NaN or infinite; the message says which and where."""


def train(config: Config, directory: RunDirectory) -> int:
    """Trains, or goes on training, until the config's epochs are over.

    Args:
        config: what to train, on what.
        directory: where; `RunDirectory.check` has been passed.

    Returns:
        The exit code: 0 done; 1 stopped by an error, told on stderr; 128 + n stopped by signal n
        after saving.

    Raises:
        ConfigError, data.DataError, checkpoint.CheckpointError: before any work.
    """
    source = open_data(config)
    strategy = make_strategy(config)
    directory.open(config)
    print(
        f"train: {config.data} ({len(source):,} images) on {strategy.num_replicas_in_sync} "
        f"{tf.config.list_logical_devices()[-1].device_type}, run in {directory.path}",
        file=sys.stderr,
    )
    run = Run(config, directory, source, strategy)
    try:
        run.restore()
        with Signals() as signals:
            run.go(signals)
    except NonFiniteLossError as error:
        return failed(f"{error}. {run.kept()} Lower --learning_rate_by_level, or it will again.")
    except tf.errors.ResourceExhaustedError as error:
        first = str(error).splitlines()[0]
        return failed(f"out of memory; try a smaller --batch_by_level ({first}). {run.kept()}")
    except tf.errors.OpError as error:
        return failed(f"{error.message.splitlines()[0]}. {run.kept()}")
    except OSError as error:
        return failed(f"--run_dir={directory.path}: {error.strerror or error}. {run.kept()}")
    if signals.received:
        print(f"train: stopped by {signals.received.name}. {run.kept()}", file=sys.stderr)
        return 128 + signals.received
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


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """MirroredStrategy over all GPUs that TensorFlow sees, else over its CPU devices (one)."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    for batch in config.batch_by_level:
        if batch % len(devices):
            raise ConfigError(
                f"--batch_by_level={','.join(map(str, config.batch_by_level))}: {batch} cannot be "
                f"divided among {len(devices)} devices; use multiples of {len(devices)}."
            )
    return tf.distribute.MirroredStrategy([device.name for device in devices])


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
        self.growth = Growth.of(config, len(source))
        self.trainer = Trainer(config, strategy)
        self.images_seen, self.level = 0, -1
        self.saved_at: int | None = None
        self.sums = np.zeros(len(UPDATES))
        self.summed = 0  # iterations in `sums`
        self.row_images = 0  # images of this process since the last row
        self.pending = None
        self.model: Autoencoder | None = None

    def restore(self) -> None:
        """Goes back to the newest whole checkpoint, if there is one."""
        state = checkpoint.restore(self.trainer, self.directory.path)
        if state is not None:
            if state["dataset_size"] != len(self.source):
                raise ConfigError(
                    f"--data={self.config.data}: has {len(self.source):,} images, and "
                    f"{state['dataset_size']:,} when the run in {self.directory.path} was saved; "
                    "give the same images, or another --run_dir."
                )
            self.images_seen = self.saved_at = state["images_seen"]
            self.sums, self.summed = np.array(state["sums"]), state["summed"]
            self.enter_level(state["level"])
            print(f"train: goes on after {self.images_seen:,} images.", file=sys.stderr)
        self.directory.rewind_metrics(self.images_seen)
        self.writer = tf.summary.create_file_writer(str(self.directory.tensorboard))

    def save(self) -> None:
        """Writes a checkpoint of this moment."""
        self.check_losses()
        state = {
            "images_seen": self.images_seen,
            "level": self.level,
            "blend": self.blend,
            "dataset_size": len(self.source),
            "sums": self.sums.tolist(),
            "summed": self.summed,
        }
        checkpoint.save(self.trainer, self.directory.path, state, self.config.keep_checkpoints)
        self.saved_at, self.saved_time = self.images_seen, time.monotonic()

    @property
    def blend(self) -> float:
        """The blend of the current level, which at its very end is 1."""
        stage = self.growth.at(self.images_seen)
        return stage.blend if stage.level == self.level else 1.0

    def kept(self) -> str:
        """What a user should know when a run has stopped."""
        if self.saved_at is None:
            return "No checkpoint was written."
        return (
            f"The checkpoint at {self.saved_at:,} images is kept; the same command goes on from it."
        )

    def enter_level(self, level: int) -> None:
        """Points data and model at a level."""
        self.level = level
        self.trainer.set_learning_rate(level)
        batches = data.batches(
            self.source,
            self.config.level_resolution(level),
            self.config.batch_size(level),
            seed=self.config.seed,
            start=self.images_seen,
            flip=self.config.flip,
        )
        self.batches = iter(self.strategy.experimental_distribute_dataset(batches))
        self.model = Autoencoder(self.config, self.trainer.slow, level)
        self.originals = data.fixed_images(
            self.source, self.model.resolution, pictures.grid_images(self.model.resolution)
        )

    def go(self, signals: Signals) -> None:
        """Iterates until the end or a signal, and saves."""
        self.saved_time = self.row_time = time.monotonic()
        self.waited = 0.0
        bar = tqdm(
            total=self.growth.total,
            initial=self.images_seen,
            unit="img",
            unit_scale=True,
            mininterval=0.5 if sys.stderr.isatty() else 30,
        )
        with bar:
            while self.images_seen < self.growth.total and not signals.received:
                self.iterate(bar)
        if self.level >= 0 and self.saved_at != self.images_seen:
            self.save()
        if not signals.received:
            self.finish()

    def iterate(self, bar: tqdm) -> None:
        """One iteration, and what is due after it."""
        stage = self.growth.at(self.images_seen)
        if stage.level != self.level:
            self.enter_level(stage.level)
            self.trainer.reset_optimizers()
            self.save()
        batch = self.config.batch_size(self.level)
        start = time.monotonic()
        pixels = next(self.batches)
        self.waited += time.monotonic() - start
        losses = self.trainer.step(pixels, self.level, self.images_seen, stage.blend)
        self.check_losses()
        before, self.images_seen = self.images_seen, self.images_seen + batch
        self.row_images += batch
        self.pending = (before, losses)

        def due(every: int) -> bool:
            return before // every != self.images_seen // every

        if due(self.config.log_images):
            self.log(bar)
        if due(self.config.sample_images):
            self.draw()
        if time.monotonic() - self.saved_time > 60 * self.config.checkpoint_minutes:
            self.save()
        bar.update(batch)

    def check_losses(self) -> None:
        """Looks at the losses of the iteration before, which a GPU has finished by now."""
        if self.pending is None:
            return
        images_seen, losses = self.pending
        self.pending = None
        values = np.array([float(losses[name]) for name in UPDATES])
        for name, value in zip(UPDATES, values, strict=True):
            if not np.isfinite(value):
                raise NonFiniteLossError(f"loss_{name} is {value} after {images_seen:,} images")
        self.sums, self.summed = self.sums + values, self.summed + 1

    def log(self, bar: tqdm) -> None:
        """A row of metrics.csv and TensorBoard: means since the row before."""
        self.check_losses()
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
        self.directory.add_metrics(row)
        with self.writer.as_default(step=self.images_seen):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        bar.set_postfix(
            level=self.level,
            blend=f"{row['blend']:.2f}",
            **{name: f"{value:.3f}" for name, value in means.items()},
            refresh=False,
        )
        self.sums, self.summed = np.zeros(len(UPDATES)), 0
        self.waited, self.row_time, self.row_images = 0.0, now, 0

    def draw(self) -> None:
        """A sample grid by the slow copy, and the loss plot."""
        self.model.blend = self.blend
        grid = pictures.sample_grid(self.model, self.originals, self.config.seed)
        path = self.directory.samples / f"images-{self.images_seen:012d}.png"
        write_beside(path, pictures.png(grid))
        with self.writer.as_default(step=self.images_seen):
            tf.summary.image("samples", grid[np.newaxis])
        rows = self.directory.read_metrics()
        if rows:
            write_beside(self.directory.path / "losses.png", pictures.loss_plot(rows))

    def finish(self) -> None:
        """What a finished run shows: the last grid and, with labels, the 1-NN accuracy."""
        self.draw()
        self.writer.flush()
        print(f"train: done, {self.images_seen:,} images. Pictures in {self.directory.samples}/")
        held_out = self.source.held_out
        if self.source.labels is None or held_out is None or held_out.labels is None:
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
