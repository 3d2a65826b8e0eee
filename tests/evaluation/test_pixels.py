import math
from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation import pixels


def samples(real, made, resolution=16):
    """Two parts of constant images."""
    shape = (3, resolution, resolution, 1)
    parts = [(np.full(shape, real, np.uint8), np.full(shape, made, np.uint8))] * 2
    distance = lambda a, b: np.abs(a.astype(float) - b).mean((1, 2, 3))  # noqa: E731
    return SimpleNamespace(
        model=SimpleNamespace(resolution=resolution),
        pairs=lambda about: iter(parts),
        network=lambda name: SimpleNamespace(distance=distance),
    )


def test_psnr_by_hand():
    assert pixels.psnr(samples(100, 110)) == pytest.approx(20 * math.log10(255 / 10), rel=1e-5)
    assert pixels.psnr(samples(7, 7)) == 100  # at most


@pytest.mark.parametrize("resolution", [4, 16])
def test_ssim_by_hand(resolution):
    """Of constant images (2ab + c) / (a² + b² + c), c = (0.01·255)²."""
    c = 2.55**2
    exact = (2 * 100 * 110 + c) / (100**2 + 110**2 + c)
    assert pixels.ssim(samples(100, 110, resolution)) == pytest.approx(exact, rel=1e-4)
    assert pixels.ssim(samples(7, 7, resolution)) == pytest.approx(1)


def test_lpips_is_the_mean_over_all_pairs():
    assert pixels.lpips(samples(100, 110)) == 10
