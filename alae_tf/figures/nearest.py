"""Generated images beside their nearest training images: is it memorising?"""

from __future__ import annotations

import typing

import numpy as np

from alae_tf.autoencoder import Autoencoder
from alae_tf.data import Source
from alae_tf.evaluation.samples import Protocol, Samples
from alae_tf.images import canvas

NEIGHBOURS = 5


def nearest(
    model: Autoencoder,
    source: Source,
    network: typing.Any,
    count: int,
    seed: int = 0,
    most: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """A row for each generated image: itself, then the training images nearest to it in the
    network's features, the nearest first.

    Args:
        model: generates, with its own psi.
        source: images that it was trained on.
        network: uint8 images → features, as `alae_tf.evaluation.lpips.Lpips`.
        count: generated images.
        seed: of them.
        most: training images looked at, evenly spread; 0: 50,000 at most.
        progress: whether to show a bar.
    """
    protocol = Protocol("train", most)
    samples = Samples(model, source, protocol, {network.name: network}, progress)
    known = samples.features("real", network.name)
    places = samples.indices()
    images = model.generate(count, seed)
    rows, labels = [], []
    for image, feature in zip(images, network(images), strict=True):
        distance = np.linalg.norm(known - feature, axis=1)
        closest = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        rows.append([image, *(source.fitted(int(places[i]), model.resolution) for i in closest)])
    top = ["new", *[f"{i + 1}." for i in range(NEIGHBOURS)]]
    return canvas.table(rows, labels, top)
