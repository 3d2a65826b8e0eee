"""How much closer to an image G comes with refined codes than with E(x).

Both metrics use the default settings of `alae_tf.model.projection` and constant noise, whatever the
protocol's noise. They return no values for principal components, whose reconstructions are already
as near as possible.
"""

import numpy as np

from alae_tf.evaluation.identity import CANDIDATES, found_by_features
from alae_tf.evaluation.samples import Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.projection import Projection, project

WHEN = {"before": 0, "after": -1}  # projection: place in its curves


def projected(samples: Samples) -> list[tuple[np.ndarray, Projection]]:
    """(real images, their projection) in parts, computed once."""
    samples.counts["projected"] = samples.count
    if not samples.projections:
        lpips = samples.network("lpips")
        for real in samples.real("projections"):
            samples.projections.append((real, project(samples.model, real, lpips)))
    return samples.projections


def projection(samples: Samples) -> dict[str, float]:
    """Errors of G(E(x)) ("before") and of G's image after projection ("after"), each a mean.

    lpips (VGG) and mse (of images in [−1, 1]) are what projection minimises; lpips_alex is LPIPS
    with a network that projection does not use.
    """
    if not isinstance(samples.model, Autoencoder):
        return {}
    alex, parts = samples.network("lpips_alex"), projected(samples)
    values = {}
    for when, place in WHEN.items():
        drawn = [(x, (each.reconstructed, each.projected)[place]) for x, each in parts]
        errors = {
            "lpips": [each.perceptual[:, place] for _, each in parts],
            "mse": [each.squared[:, place] for _, each in parts],
            "lpips_alex": [alex.distance(x, made) for x, made in drawn],
        }
        for name, found in errors.items():
            values[f"{name}_{when}"] = float(np.concatenate(found).mean())
    return values


def projection_identity(samples: Samples) -> dict[str, float]:
    """`distance` and `found` of `alae_tf.evaluation.identity`, before and after projection."""
    if not isinstance(samples.model, Autoencoder):
        return {}
    network, parts = samples.network("identity"), projected(samples)
    real = np.concatenate([network(x) for x, _ in parts])
    made = {
        "before": np.concatenate([network(each.reconstructed) for _, each in parts]),
        "after": np.concatenate([network(each.projected) for _, each in parts]),
    }
    chosen = samples.candidates(CANDIDATES)
    others, indices = samples.features_of(chosen, "identity"), samples.indices
    values = {}
    for when, features in made.items():
        values[f"distance_{when}"] = float(np.linalg.norm(features - real, axis=1).mean())
        values[f"found_{when}"] = found_by_features(indices, real, features, chosen, others)
    return values
