"""PSNR, SSIM and LPIPS of reconstructions. ALAE keeps the style of an image, not its pixels."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from alae_tf.evaluation.samples import Samples

WINDOW = 11  # pixels; side of SSIM's window, at most the side of the images
MOST_PSNR = 100.0  # dB, for equal images


def psnr(samples: Samples) -> float:
    """Mean peak signal-to-noise ratio in dB, at most 100."""
    return _mean(samples, "psnr", lambda a, b: tf.minimum(tf.image.psnr(a, b, 255), MOST_PSNR))


def ssim(samples: Samples) -> float:
    """Mean structural similarity (Wang et al. 2004) in [−1, 1]: Gaussian window, σ 1.5."""
    window = min(WINDOW, samples.model.resolution)
    return _mean(samples, "ssim", lambda a, b: tf.image.ssim(a, b, 255, filter_size=window))


def lpips(samples: Samples, network: str = "lpips") -> float:
    """Mean LPIPS (v0.1) between image and reconstruction.

    Args:
        network: "lpips" (VGG) or "lpips_alex".
    """
    return _mean(samples, network, samples.network(network).distance)


def _mean(samples: Samples, about: str, measure: Callable) -> float:
    return float(np.concatenate([measure(*pair) for pair in samples.pairs(about)]).mean())
