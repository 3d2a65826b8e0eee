from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation.code_gap import code_gap, separation


def codes(count, shift=0.0, seed=0):
    values = np.random.default_rng(seed).standard_normal((count, 4), np.float32)
    values[:, 1] += shift
    return values


def test_equal_distributions_cannot_be_separated():
    assert separation(codes(2000), codes(2000, seed=1)) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_area_of_two_normal_distributions(shift):
    """Shifted by d standard deviations, the best area is Φ(d / √2): .760 and .921."""
    expected = {1.0: 0.760, 2.0: 0.921}[shift]
    found = separation(codes(3000), codes(3000, shift, seed=1))
    assert found == pytest.approx(expected, abs=0.02)
    scaled = separation(1e4 * codes(3000), 1e4 * codes(3000, shift, seed=1))
    assert scaled == pytest.approx(found, abs=1e-4)


def test_areas_are_of_codes_that_did_not_train_the_classifier():
    """With more numbers than codes, those that train it are separated perfectly."""
    noise = np.random.default_rng(0).standard_normal((80, 200), np.float32)
    assert 0.25 < separation(noise[:40], noise[40:]) < 0.75
    assert separation(noise[:40], noise[40:] + 5) == 1.0


def test_which_codes_are_compared():
    """E finds a number of generated images 9 too large; real images have codes like w."""
    w = codes(300)
    samples = SimpleNamespace(
        model=SimpleNamespace(encode=lambda images: images, sample_w=lambda count, seed: w),
        protocol=SimpleNamespace(seed=0),
        count=300,
        counts={},
        real=lambda about: iter([codes(150, seed=1), codes(150, seed=2)]),
        decode=lambda w, start: w + np.float32([9, 0, 0, 0]),
    )
    values = code_gap(samples)
    assert values["real_vs_generated"] == 1.0
    assert values["real_vs_w"] == pytest.approx(0.5, abs=0.1)
    assert samples.counts == {"generated": 300}
