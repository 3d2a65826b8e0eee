"""Generated images beside their nearest training images, which show memorisation."""

import numpy as np

from alae_tf.figures.kind import SET, Figure, Kind, number
from alae_tf.images import canvas

NEIGHBOURS = 5


def draw(figure: Figure, among: int) -> np.ndarray:
    """A row for each generated image: the image, then the training images with the nearest LPIPS
    features, the nearest first."""
    from alae_tf.evaluation.samples import Protocol, Samples
    from alae_tf.features.lpips import Lpips

    source, network, model = figure.source(), Lpips(), figure.model
    samples = Samples(model, source, Protocol("train", among), {network.name: network}, True)
    known = samples.features("real", network.name)
    places = samples.indices
    images = model.generate(figure.count, figure.seed)
    rows = []
    for image, feature in zip(images, network(images), strict=True):
        distance = np.linalg.norm(known - feature, axis=1)
        closest = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        rows.append([image, *source.take(places[closest], model.resolution)])
    return canvas.table(rows, top=["new", *[f"{i + 1}." for i in range(NEIGHBOURS)]])


KIND = Kind(
    "generated images beside the nearest training images, by LPIPS features",
    draw,
    count=8,
    images=SET,
    flags={
        "among": number(
            (0, 10**9),
            0,
            "training images to search, spread evenly over the data set; fewer take less time, 0 "
            "means all up to 50,000",
        )
    },
)
