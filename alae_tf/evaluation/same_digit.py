"""Whether a reconstruction is still the same digit."""

from __future__ import annotations

import numpy as np

from alae_tf.evaluation.samples import Samples


def same_digit(samples: Samples) -> float:
    """Share of reconstructions that the classifier reads as the class of their image, in [0, 1].

    Its accuracy on the images themselves, which bounds this, is in the result.
    """
    network = samples.network("digits")
    read = np.concatenate([network.classify(images) for images in samples.reconstructed()])
    return float((read == samples.labels()).mean())
