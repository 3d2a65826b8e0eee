from types import SimpleNamespace

import numpy as np
import pytest

from alae_tf.evaluation.cycle import latent_cycle


def samples(error):
    """w is ±1, alternating; E finds w + error."""
    w = np.tile([[1.0], [-1.0]], (50, 1)).astype(np.float32)
    model = SimpleNamespace(sample_w=lambda count, seed: w, encode=lambda x: x[:, 0, 0] * 2 + error)
    decode = lambda w, start, floats: w[:, None, None] / 2  # noqa: E731
    return SimpleNamespace(
        model=model, protocol=SimpleNamespace(seed=0), generated_count=100, counts={}, decode=decode
    )


@pytest.mark.parametrize(("error", "value"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_error_of_the_latent_cycle_by_hand(error, value):
    assert latent_cycle(samples(error)) == pytest.approx(value)
