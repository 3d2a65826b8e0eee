"""Compares features of real and other images: fid, kid, fd_*, kd_*, precision, recall."""

import numpy as np

from alae_tf.evaluation import distances
from alae_tf.evaluation.samples import Samples


def frechet(samples: Samples, kind: str, network: str) -> float:
    """Fréchet distance from the real images to those of a kind; 0 is best."""
    return distances.frechet(samples.features("real", network), samples.features(kind, network))


def kernel(samples: Samples, kind: str, network: str) -> float:
    """Kernel distance from the real images to those of a kind; 0 is best, below 0 is chance."""
    real, made = samples.features("real", network), samples.features(kind, network)
    return distances.kernel(real, made, samples.protocol.seed)


def precision(samples: Samples) -> float:
    """Share of generated images within the manifold of the real ones, in [0, 1]."""
    return distances.covered(_features(samples, "generated"), _features(samples, "real"))


def recall(samples: Samples) -> float:
    """Share of real images within the manifold of the generated ones, in [0, 1]."""
    return distances.covered(_features(samples, "real"), _features(samples, "generated"))


def _features(samples: Samples, kind: str) -> np.ndarray:
    return samples.features(kind, "lpips")
