"""The pictures of a run: sample grids and the loss plot."""

from __future__ import annotations

import numpy as np

from alae_tf import data
from alae_tf.images import canvas, picture, plots
from alae_tf.images.picture import columns
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import PLOT, SOFTWARE, RunDirectory
from alae_tf.system.errors import WarnOnce
from alae_tf.training.progress import Progress
from alae_tf.training.reach import Reach

ROWS = 3  # rows of each kind


def sample_grid(model: Autoencoder, originals: np.ndarray, seed: int = 0) -> np.ndarray:
    """Photographs above their reconstructions, then generated images, with captions.

    Args:
        originals: uint8 [n, H, W, C], n a multiple of `columns(H)`.

    Returns:
        uint8 [height, width, 3]: a row of reconstructions below each row of originals, then as many
        rows of generated images.
    """
    rows, captions, generated = [], [], []
    width = columns(originals.shape[1])
    for start in range(0, len(originals), width):  # each row of generated images has its own seed
        part = originals[start : start + width]
        rows += [list(part), list(model.reconstruct(part))]
        captions += ["photograph", "reconstruction"]
        generated.append(list(model.generate(width, seed=seed + start)))
    return canvas.table([*rows, *generated], [*captions, *["generated"] * len(generated)])


class Sampler:
    """Draws sample grids of `model`, the EMA weights at the current level, always of the same
    originals, and the loss plot."""

    def __init__(self, progress: Progress, directory: RunDirectory, reach: Reach):
        self._progress, self._directory, self._reach = progress, directory, reach
        self._warn_once = WarnOnce("train", "training continues")
        self.enter_level(0, np.zeros(0, np.uint8))

    def originals(self, level: int) -> np.ndarray:
        """The originals at a level's resolution: uint8 [n, H, W, C]. Raises DataError if an image
        cannot be read."""
        resolution = self._progress.config.level_resolution(level)
        rows = ROWS if resolution <= 128 else 1
        return data.fixed_images(self._progress.source, resolution, rows * columns(resolution))

    def enter_level(self, level: int, originals: np.ndarray) -> None:
        self.model = Autoencoder(self._progress.config, self._progress.trainer.ema, level)
        self._originals = originals

    def draw(self) -> np.ndarray:
        """Writes a sample grid and the loss plot; returns the grid, uint8 [height, width, 3]."""
        progress = self._progress
        self.model.blend = progress.blend
        grid = sample_grid(self.model, self._originals, progress.config.seed)
        png, plot = picture.png(grid, SOFTWARE), self.loss_plot()

        def write() -> None:
            folder = self._directory.samples
            folder.mkdir(exist_ok=True)
            self._directory.replace(folder / f"images-{progress.images_seen:012d}.png", png)
            if plot is not None:
                self._directory.replace(self._directory.path / PLOT, plot)

        self._reach(write)
        return grid

    def loss_plot(self) -> bytes | None:
        """The loss plot, a PNG file; None without rows in metrics.csv. A failure, which rows that
        were edited can cause, does not end the run."""
        progress = self._progress
        starts = [progress.growth.start(level) for level in range(progress.config.levels)]
        labels = {f"loss_{update.name}": update.label for update in progress.trainer.updates}
        with self._warn_once.on_failure(f"drawing {PLOT}"):
            if rows := self._directory.metrics.rows():
                return plots.loss_plot(rows, labels, starts, SOFTWARE)
        return None
