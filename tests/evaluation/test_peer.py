"""Arithmetic against torch-fidelity on the same features."""

import numpy as np
import pytest

from alae_tf.evaluation import distances


@pytest.mark.slow
def test_distances_agree_with_torch_fidelity():
    pytest.importorskip("torch_fidelity", reason="extra `peers`")
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    rng = np.random.default_rng(0)
    spread = rng.normal(size=(64, 64)) / 8
    real = (rng.normal(size=(1000, 64)) @ spread).astype(np.float32)
    made = (rng.normal(size=(1000, 64)) @ spread * 1.1 + 0.1).astype(np.float32)
    a, b = torch.from_numpy(real), torch.from_numpy(made)

    fid = fid_statistics_to_metric(
        fid_features_to_statistics(a), fid_features_to_statistics(b), False
    )["frechet_inception_distance"]
    assert distances.frechet(real, made) == pytest.approx(fid, rel=1e-3)
    kid = kid_features_to_metric(a, b, kid_subset_size=1000, kid_subsets=1, verbose=False)
    expected = kid["kernel_inception_distance_mean"]
    assert distances.kernel(real, made) == pytest.approx(expected, rel=1e-3)
    prc = prc_features_to_metric(b, a, verbose=False)  # generated ones come first
    assert distances.covered(made, real) == pytest.approx(prc["precision"], abs=1e-3)
    assert distances.covered(real, made) == pytest.approx(prc["recall"], abs=1e-3)
