"""From a source to batches: which image comes when, at one resolution, as uint8."""

import functools
import weakref

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf.data.source import DataError, Source
from alae_tf.data.threads import exit_gate, for_each_part
from alae_tf.system.errors import printable

# Fitted images are kept up to this size: 30,000 images at 128 px (1.4 GiB) are, at 256 px (5.5 GiB)
# are not. It leaves a machine of 8 GB room for the training itself.
CACHE_BYTES = 2 * 2**30
# Keeps the random numbers of flips apart from those of orders: no run has so many epochs. (NumPy
# seeds [s, e] and [s, e, 0] alike.)
FLIPS = int.from_bytes(b"flip", "big")


def epoch_order(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the images in one epoch: int64 [size], a permutation."""
    return np.random.default_rng([seed, epoch]).permutation(size)


def batches(
    source: Source,
    resolution: int,
    batch_size: int,
    seed: int,
    start: int = 0,
    flip: bool = False,
    prefetch: int = 4,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Endless batches; position p (images seen) is image epoch_order(n, seed, p // n)[p % n].

    Nothing but (seed, start) decides the batches, so a run resumes to the bit with `start` set to
    the images it has seen. Epochs follow each other without a gap, within a batch if need be.

    Fitted images stay in memory (see CACHE_BYTES), for the resolution of the latest call on a
    source; a data set of an earlier resolution still works, and decodes every image again.

    Args:
        source: n images.
        resolution: pixels.
        batch_size: images; may exceed n.
        seed: 0 or more.
        start: position of the first image.
        flip: mirror each image with probability ½, drawn from (seed, position of the batch), so
            that the flips of a resumed run agree if its batches begin at the same positions.
        prefetch: batches made ready ahead.
        worker, workers: of several, each reads its own part of every batch: worker i the i-th.

    Returns:
        Dataset of uint8 [batch_size/workers, resolution, resolution, C], static shape. An image
        that cannot be read raises tf.errors.OpError with DataError's text in it, as tf.data wraps
        it.
    """
    _keep(source, resolution)
    gate = exit_gate()
    share = batch_size // workers
    own = slice(worker * share, (worker + 1) * share)
    shape = [share, resolution, resolution, source.channels]
    order = functools.lru_cache(maxsize=2)(functools.partial(epoch_order, len(source), seed))

    def batch_at(position: np.int64) -> np.ndarray:
        epochs, places = np.divmod(position + np.arange(batch_size)[own], len(source))
        parts = [order(epoch)[places[epochs == epoch]] for epoch in np.unique(epochs).tolist()]
        images = _take(source, resolution, np.concatenate(parts))
        if flip:
            mirrored = np.random.default_rng([seed, FLIPS, int(position)]).random(batch_size) < 0.5
            images[mirrored[own]] = images[mirrored[own], :, ::-1]
        return images

    def gated(position: np.int64) -> np.ndarray:
        try:
            return gate(lambda: batch_at(position), lambda: np.zeros(shape, np.uint8))
        except DataError as error:  # a name that is no UTF-8 would cost tf.data the whole message
            raise DataError(printable(str(error))) from None

    def load(position: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(gated, [position], tf.uint8), shape)

    options = tf.data.Options()
    # There is nothing to tune, and the tuner holds up the exit of the process by many seconds.
    options.autotune.enabled = False
    dataset = tf.data.Dataset.counter(start, batch_size).map(load)
    return dataset.prefetch(prefetch).with_options(options)


def fixed_images(source: Source, resolution: int, count: int) -> np.ndarray:
    """Always the same images, for sample grids: uint8 [count, resolution, resolution, C].

    Taken at even distances (so that classes in sorted sets all show) from the held-out images, or
    from the training images if fewer than `count` are held out; some repeat if those are too few.
    """
    if source.held_out is not None and len(source.held_out) >= count:
        source = source.held_out
    indices = np.linspace(0, len(source) - 1, count).astype(np.int64)
    return _take(source, resolution, indices)


def all_images(source: Source, resolution: int) -> np.ndarray:
    """All images in their own order: uint8 [n, resolution, resolution, C]."""
    images = np.empty([len(source), resolution, resolution, source.channels], np.uint8)
    with tqdm(total=len(source), desc=source.uri, unit="image", delay=2, leave=False) as bar:
        for some in np.array_split(np.arange(len(source)), -(-len(source) // 1024)):
            _fit_into(images, some, source, some)
            bar.update(len(some))
    return images


class _Kept:
    """The images of one source at one resolution that have been fitted so far."""

    def __init__(self, size: int, resolution: int, channels: int):
        self.resolution = resolution
        # Pages that nothing was written to take no memory yet.
        self.images = np.empty([size, resolution, resolution, channels], np.uint8)
        self.made = np.zeros(size, bool)


# TensorFlow never forgets a Python function that it was given, nor what that refers to. So a data
# set's function reaches its images through the source, and each source keeps one resolution: a
# run that grows level by level does not pile up its past.
_kept: weakref.WeakKeyDictionary[Source, _Kept] = weakref.WeakKeyDictionary()


def _keep(source: Source, resolution: int) -> None:
    """From now on images fitted to this resolution are kept, if all of them find room."""
    if source in _kept and _kept[source].resolution == resolution:
        return
    _kept.pop(source, None)
    if len(source) * resolution**2 * source.channels <= CACHE_BYTES:
        _kept[source] = _Kept(len(source), resolution, source.channels)


def _take(source: Source, resolution: int, indices: np.ndarray) -> np.ndarray:
    """The images at `indices`, fitted: uint8 [k, resolution, resolution, C], not shared."""
    kept = _kept.get(source)
    if kept is None or kept.resolution != resolution:
        images = np.empty([len(indices), resolution, resolution, source.channels], np.uint8)
        _fit_into(images, np.arange(len(indices)), source, indices)
        return images
    missing = np.unique(indices[~kept.made[indices]])
    if len(missing):
        _fit_into(kept.images, missing, source, missing)
        kept.made[missing] = True
    return kept.images[indices]


def _fit_into(out: np.ndarray, rows: np.ndarray, source: Source, indices: np.ndarray) -> None:
    """out[rows] = the fitted images at `indices`, on all threads."""

    def some(part: np.ndarray) -> None:
        for row, index in zip(rows[part].tolist(), indices[part].tolist(), strict=True):
            out[row] = source.fitted(index, out.shape[1])

    for_each_part(some, len(rows))
