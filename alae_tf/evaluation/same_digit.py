"""Whether reconstructions keep the class of their images."""

import numpy as np

from alae_tf.evaluation.samples import Samples


def same_digit(samples: Samples) -> float:
    """Share of reconstructions that the classifier assigns to the class of their image, in [0, 1].

    The result includes the classifier's accuracy on the images themselves, which limits this share.
    """
    network = samples.network("digits")
    read = np.concatenate([network.classify(images) for images in samples.reconstructed()])
    return float((read == samples.labels()).mean())
