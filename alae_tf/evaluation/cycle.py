"""The latent cycle w → G → E → w."""

import numpy as np

from alae_tf.evaluation.samples import PART, Samples


def latent_cycle(samples: Samples) -> float:
    """√(Σ|E(G(w)) − w|² / Σ|w − mean w|²), w = F(z): 0 is exact, the constant mean w gives 1."""
    w = samples.model.sample_w(samples.generated_count, samples.protocol.seed)
    samples.counts["generated"] = len(w)
    wrong = 0.0
    for start in range(0, len(w), PART):
        images = samples.decode(w[start : start + PART], start, floats=True)
        found = samples.model.encode(np.clip(images, -1.0, 1.0))
        wrong += float(((found - w[start : start + PART]) ** 2).sum())
    return float(np.sqrt(wrong / ((w - w.mean(axis=0)) ** 2).sum()))
