import numpy as np
import pytest

from alae_tf.evaluation import distances


def test_frechet_of_gaussians_with_given_moments():
    """Closed forms: (1) diagonal covariances: |μ|² + Σ(√a − √b)²; (2) 2×2 matrices that do not
    commute: tr √(AB) = √(tr AB + 2 √det AB)."""
    zero, one = np.zeros(2), np.ones(2)
    value = distances.frechet_of_moments(zero, np.diag([1.0, 4.0]), one, np.diag([9.0, 16.0]))
    assert value == pytest.approx(2 + (1 - 3) ** 2 + (2 - 4) ** 2)
    a, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[3.0, 0.0], [0.0, 1.0]])
    product = a @ b
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    value = distances.frechet_of_moments(zero, a, zero, b)
    assert value == pytest.approx(4 + 4 - 2 * root)


def test_frechet_of_samples_comes_near_the_closed_form():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50_000, 3)) * [1, 2, 3]
    b = rng.normal(size=(50_000, 3)) * [2, 2, 2] + [1, 0, 0]
    assert distances.frechet(a, b) == pytest.approx(1 + 1 + 0 + 1, rel=0.03)
    assert distances.frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_of_fewer_images_than_features():
    """Covariances are singular then; the value is the means' distance if the spreads agree."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, 100))
    assert distances.frechet(a, a + 1) == pytest.approx(100, rel=1e-6)


def test_kernel_by_hand():
    """k(x, y) = (xy + 1)³: within x k(0,1) = 1, within y k(1,2) = 27, across (1+1+8+27)/4."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert distances.kernel(x, y) == pytest.approx(1 + 27 - 2 * 9.25)


def test_kernel_of_gaussians(monkeypatch):
    """With E x = m, E x² = m² + s², E x³ = m³ + 3ms² every E k(x, y) is a sum of products."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(distances, "SUBSETS", 20)
    x, y = rng.normal(0.0, 1.0, (20_000, 1)), rng.normal(0.5, 1.0, (20_000, 1))

    def moments(m):
        return np.array([1, m, m**2 + 1, m**3 + 3 * m])

    a, b, binomial = moments(0.0), moments(0.5), np.array([1, 3, 3, 1])
    exact = (binomial * (a * a + b * b - 2 * a * b)).sum()
    assert distances.kernel(x, y) == pytest.approx(exact, rel=0.2)
    assert distances.kernel(x, rng.normal(0.0, 1.0, (20_000, 1))) == pytest.approx(0, abs=0.1)
    assert distances.kernel(x, y, seed=1) != distances.kernel(x, y, seed=0)


def test_precision_and_recall_of_constructed_sets():
    """Points of a line 1 apart have their 3rd neighbour 2 away (3 at the ends): half of `made` lie
    among them, half far off; one tenth of the real ones lie near `made`."""
    real = np.arange(100.0)[:, None]
    made = np.concatenate([np.arange(10.0) + 0.5, np.arange(10.0) + 1e4])[:, None]
    assert distances.covered(made, real) == 0.5
    assert distances.covered(real, made) == 0.13  # 0 to 12: 9.5 has its 3rd neighbour 3 away
    assert distances.covered(real, real) == 1.0


def test_squared_distances_by_hand():
    a, b = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])
    assert distances.squared_distances(a, b).tolist() == [[25.0, 1.0], [0.0, 18.0]]
