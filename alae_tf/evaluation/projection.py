"""How much closer to an image than G(E(x)) the generator comes with refined codes."""

import numpy as np

from alae_tf.evaluation.identity import CANDIDATES, found_by_features
from alae_tf.evaluation.samples import Samples
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.model.projection import Projection, project


def projection(samples: Samples) -> dict[str, float]:
    """Errors of G(E(x)) ("before") and of G's image after projection ("after"), each a mean.

    - lpips (VGG), mse in [−1, 1]: what projection minimises.
    - lpips_alex: LPIPS by a network that projection does not see.
    - identity, identity_found: as `distance` and `found` of `alae_tf.evaluation.identity`.

    Uses the default settings of `alae_tf.model.projection` and constant noise, whatever the
    protocol's noise. Returns no values for principal components, which give their nearest image
    without projection.
    """
    if not isinstance(samples.model, Autoencoder):
        return {}
    parts: list[dict[str, np.ndarray]] = []
    for real in samples.real("projections"):
        parts.append(
            measured(samples, real, project(samples.model, real, samples.network("lpips")))
        )
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    real = values.pop("real")
    made = {when: values.pop(when) for when in ("before", "after")}
    samples.counts["projected"] = samples.count
    chosen = samples.candidates(CANDIDATES)
    others = samples.features_of(chosen, "identity")
    found = {
        f"identity_found_{when}": found_by_features(samples.indices, real, features, chosen, others)
        for when, features in made.items()
    }
    return {name: float(each.mean()) for name, each in values.items()} | found


def measured(samples: Samples, real: np.ndarray, found: Projection) -> dict[str, np.ndarray]:
    """Errors of some images before and after projection [n], and their features of identity [n, d].

    Args:
        real: the images, uint8 [n, H, W, C].
        found: their projection.
    """
    alex, identity = samples.network("lpips_alex"), samples.network("identity")
    drawn = {"before": found.reconstructed, "after": found.projected}
    features = {"real": identity(real)} | {when: identity(made) for when, made in drawn.items()}
    curves = {"lpips": found.perceptual, "mse": found.squared}
    ends = {"before": 0, "after": -1}
    return {
        **{
            f"{name}_{when}": curve[:, place]
            for name, curve in curves.items()
            for when, place in ends.items()
        },
        **{f"lpips_alex_{when}": alex.distance(real, made) for when, made in drawn.items()},
        **{
            f"identity_{when}": np.linalg.norm(features[when] - features["real"], axis=1)
            for when in drawn
        },
        **features,
    }
