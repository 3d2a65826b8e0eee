"""Codes of a known covariance, labelled by a known plane."""

import numpy as np
import pytest

from alae_tf.latents import LatentError, finding

SCALES = np.array([3.0, 1.0, 0.1, 1.0])
NORMAL = np.array([0.0, 1.0, 10.0, 0.0])  # w·NORMAL = a unit normal of w₁ plus one of w₂


@pytest.fixture(scope="module")
def w():
    return np.random.default_rng(0).normal(5.0, 1.0, (4000, 4)) * SCALES


def test_classes_are_separated_in_the_direction_of_the_data(w):
    values = w @ NORMAL
    vector, normal, accuracy, chance = finding.from_classes(w, values > np.median(values))
    assert accuracy > 0.97
    # Of 800 held-out codes, 400 of each class: 0.5 + 1.645·√(2/400)/4.
    assert chance == pytest.approx(0.5291, abs=1e-4)
    # The measure is that of w·normal, which the vector does not read as well.
    assert np.dot(normal, NORMAL / np.linalg.norm(NORMAL)) > 0.98
    # Σ·NORMAL = (0, 1, 0.1, 0), where the normal itself would be nearly (0, 0, 1, 0).
    expected = np.array([0.0, 1.0, 0.1, 0.0])
    assert np.dot(vector, expected / np.linalg.norm(expected)) > 0.98
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_random_labels_give_chance(w):
    labels = np.random.default_rng(1).random(len(w)) < 0.1
    found = finding.from_classes(w, labels)
    assert 0.45 < found.measure < 0.55
    assert found.measure <= found.chance < 0.6
    found = finding.from_values(w, np.random.default_rng(3).normal(size=len(w)))
    assert abs(found.measure) < 0.1
    assert found.chance == pytest.approx(1.645 / 799**0.5)


def test_values(w):
    noise = np.random.default_rng(2).normal(size=len(w))
    vector, normal, correlation, chance = finding.from_values(w, w @ NORMAL + 2**0.5 * noise)
    assert correlation > chance
    assert np.dot(normal, NORMAL / np.linalg.norm(NORMAL)) > 0.98
    assert correlation == pytest.approx(0.5**0.5, abs=0.06)  # as much noise as signal
    expected = np.array([0.0, 1.0, 0.1, 0.0])
    assert np.dot(vector, expected / np.linalg.norm(expected)) > 0.98


def test_principal_components(w):
    vectors, shares = finding.principal(w, 2)
    np.testing.assert_allclose(np.abs(vectors[0]), [1, 0, 0, 0], atol=0.05)
    assert shares[0] == pytest.approx(9 / 11.01, abs=0.02)
    assert len(vectors) == len(shares) == 2


def test_factors_of_style_layers():
    """Two layers whose channels all look at w₂, but for one that looks at w₀."""
    kernels = [np.zeros((3, 5)), np.zeros((3, 1))]
    kernels[0][2, :] = [1, -2, 3, 0.5, 4]  # each channel counts alike, whatever its size
    kernels[1][0, 0] = 100.0
    vectors, shares = finding.factorised(kernels, 2)
    np.testing.assert_allclose(vectors, [[0, 0, 1], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(shares, [5 / 6, 1 / 6])


def test_span():
    w = np.linspace(0, 100, 101)[:, np.newaxis] * np.array([[0.0, 1.0]])
    assert finding.span(w, np.array([0.0, 1.0])) == pytest.approx((2, 98))


@pytest.mark.parametrize("positive", [0, 9, 91, 100])
def test_small_classes_are_refused(positive):
    labels = np.arange(100) < positive
    with pytest.raises(LatentError, match=f"{positive} images"):
        finding.from_classes(np.random.default_rng(0).normal(size=(100, 3)), labels)


def test_values_that_are_alike_or_few():
    with pytest.raises(LatentError, match="20 values"):
        finding.from_values(np.zeros((20, 2)), np.full(20, 3.0))
    with pytest.raises(LatentError, match="2 values"):
        finding.from_values(np.zeros((2, 2)), np.array([1.0, 2.0]))


def test_codes_that_do_not_differ_have_no_components():
    with pytest.raises(LatentError, match="components"):
        finding.principal(np.ones([1, 4]), 2)
