"""Batches of images from a source, as uint8 at one resolution."""

import functools
import math
import weakref

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf.data.source import DataError, Source
from alae_tf.data.threads import exit_gate, for_each_part
from alae_tf.system.errors import printable

# Fitted images are cached up to this total: 30,000 images at 128 px (1.4 GiB), but not at 256 px
# (5.5 GiB). A machine of 8 GB keeps enough memory for training.
CACHE_BYTES = 2 * 2**30
# Separates the random numbers of flips from those of orders; it exceeds any number of epochs. (To
# NumPy, the seeds [s, e] and [s, e, 0] are equal.)
FLIPS = int.from_bytes(b"flip", "big")


def epoch_order(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the images in one epoch, a permutation: int64 [size]."""
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
    """Endless batches, in which position p (images seen) is epoch_order(n, seed, p // n)[p % n].

    The batches depend only on (seed, start): a run resumes bit for bit with `start` set to the
    images it has seen. A batch may span two epochs.

    Fitted images are cached (see CACHE_BYTES) for the resolution of the latest call with this
    source. A data set of an earlier resolution still works, but decodes every image again.

    Args:
        source: n images.
        batch_size: may exceed n.
        start: position of the first image.
        flip: mirror each image with probability ½, drawn from (seed, position of the batch). The
            flips of a resumed run agree if its batches begin at the same positions.
        prefetch: batches read ahead.
        worker, workers: worker i of several reads the i-th part of every batch.

    Returns:
        Dataset of uint8 [batch_size/workers, resolution, resolution, C], static shape. For an image
        that cannot be read it raises tf.errors.OpError with the text of the DataError.
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
        except DataError as error:  # tf.data drops messages that are not UTF-8
            raise DataError(printable(str(error))) from None

    def load(position: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(gated, [position], tf.uint8), shape)

    options = tf.data.Options()
    # There is nothing to tune, and the tuner delays the exit of the process by many seconds.
    options.autotune.enabled = False
    dataset = tf.data.Dataset.counter(start, batch_size).map(load)
    return dataset.prefetch(prefetch).with_options(options)


def fixed_images(source: Source, resolution: int, count: int) -> np.ndarray:
    """The images of sample grids, always the same: uint8 [count, resolution, resolution, C].

    They are spread evenly (sorted data sets then show all classes) over the held-out images, or
    over the training images if fewer than `count` are held out. If even these are fewer, some are
    repeated.
    """
    if source.held_out is not None and len(source.held_out) >= count:
        source = source.held_out
    indices = np.linspace(0, len(source) - 1, count).astype(np.int64)
    return _take(source, resolution, indices)


def all_images(source: Source, resolution: int) -> np.ndarray:
    """All images of a source, in its order: uint8 [n, resolution, resolution, C]."""
    images = np.empty([len(source), resolution, resolution, source.channels], np.uint8)
    parts = np.array_split(np.arange(len(source)), -(-len(source) // 1024))
    for some in tqdm(parts, source.uri, unit="kimage", delay=2, leave=False, disable=None):
        _fit_into(images, some, source, some)
    return images


# The cached images of each source at one resolution, and which of them are valid. TensorFlow never
# releases a Python function, nor the objects that it refers to. Therefore a data set's function
# finds its cache through the source, and each source caches one resolution: a run that grows level
# by level keeps only the images of its current level.
_kept: weakref.WeakKeyDictionary[Source, tuple[np.ndarray, np.ndarray]]
_kept = weakref.WeakKeyDictionary()


def _keep(source: Source, resolution: int) -> None:
    """Starts the cache of a source at a resolution, if all images fit into it."""
    shape = (len(source), resolution, resolution, source.channels)
    if source in _kept and _kept[source][0].shape == shape:
        return
    _kept.pop(source, None)
    if math.prod(shape) <= CACHE_BYTES:  # pages that have not been written take no memory
        _kept[source] = np.empty(shape, np.uint8), np.zeros(len(source), bool)


def _take(source: Source, resolution: int, indices: np.ndarray) -> np.ndarray:
    """The fitted images at `indices`, a copy: uint8 [k, resolution, resolution, C]."""
    images, made = _kept.get(source, (None, None))
    if images is None or made is None or images.shape[1] != resolution:
        images = np.empty([len(indices), resolution, resolution, source.channels], np.uint8)
        _fit_into(images, np.arange(len(indices)), source, indices)
        return images
    missing = np.unique(indices[~made[indices]])
    if len(missing):
        _fit_into(images, missing, source, missing)
        made[missing] = True
    return images[indices]


def _fit_into(out: np.ndarray, rows: np.ndarray, source: Source, indices: np.ndarray) -> None:
    """Sets out[rows] to the fitted images at `indices`, on all threads."""

    def some(part: np.ndarray) -> None:
        for row, index in zip(rows[part].tolist(), indices[part].tolist(), strict=True):
            out[row] = source.fitted(index, out.shape[1])

    for_each_part(some, len(rows))
