from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation import distances, fidelity


def samples():
    """Real features are numbers 0 to 99, generated ones lie among the first ten of them, and
    reconstructed ones are moved by 3."""
    real = np.arange(100.0)[:, None]
    features = {
        "real": real,
        "generated": np.linspace(0, 10, 50)[:, None],
        "reconstructed": real + 3,
    }
    return SimpleNamespace(
        features=lambda kind, network: features[kind] if network == "lpips" else None,
        protocol=SimpleNamespace(seed=0),
    )


def test_distances_of_each_kind_from_the_real_images():
    assert fidelity.frechet(samples(), "reconstructed", "lpips") == pytest.approx(9)
    real = samples().features("real", "lpips")
    kernel = distances.kernel(real, real + 3, seed=0)
    assert fidelity.kernel(samples(), "reconstructed", "lpips") == kernel
    generated = np.linspace(0, 10, 50)
    exact = (49.5 - 5) ** 2 + (np.arange(100).std(ddof=1) - generated.std(ddof=1)) ** 2
    assert fidelity.frechet(samples(), "generated", "lpips") == pytest.approx(exact)


def test_precision_asks_of_generated_images_and_recall_of_real_ones():
    assert fidelity.precision(samples()) == 1.0
    assert fidelity.recall(samples()) == pytest.approx(0.11, abs=0.01)  # 0 to 10 of 0 to 99
