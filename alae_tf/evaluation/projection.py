"""How much closer to an image than G(E(x)) the generator comes with refined codes."""

import numpy as np

from alae_tf.evaluation.samples import Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.projection import project


def projection(samples: Samples) -> dict[str, float]:
    """Mean LPIPS and mean squared error in [−1, 1] of G(E(x)) and of G's image after projection.

    Uses the default settings of `alae_tf.model.projection` and constant noise, whatever the
    protocol's noise. Returns no values for principal components, which give their nearest image
    without projection.
    """
    if not isinstance(samples.model, Autoencoder):
        return {}
    network = samples.network("lpips")
    found = [project(samples.model, real, network) for real in samples.real("projections")]
    samples.counts["projected"] = samples.count
    curves = {
        "lpips": np.concatenate([each.perceptual for each in found]),
        "mse": np.concatenate([each.squared for each in found]),
    }
    return {
        f"{name}_{when}": float(values[:, place].mean())
        for name, values in curves.items()
        for when, place in (("before", 0), ("after", -1))
    }
