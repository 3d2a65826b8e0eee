"""Whether real images get codes that G was trained on."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alae_tf.evaluation.samples import PART, Samples


def code_gap(samples: Samples) -> dict[str, float]:
    """How well a linear classifier separates codes of real images from those of generated ones.

    Returns:
        Areas under the ROC curve on held-out codes; 0.5: it cannot separate them.

        - real_vs_generated: E(x) of real images from E(G(w)), w = F(z).
        - real_vs_w: E(x) from w = F(z).
    """
    model, w = samples.model, samples.model.sample_w(samples.count, samples.protocol.seed)
    real = np.concatenate([model.encode(images) for images in samples.real("codes of real images")])
    samples.counts["generated"] = len(w)
    generated = [
        model.encode(samples.decode(w[start : start + PART], start))
        for start in range(0, len(w), PART)
    ]
    seed = samples.protocol.seed
    return {
        "real_vs_generated": separation(real, np.concatenate(generated), seed),
        "real_vs_w": separation(real, w, seed),
    }


def separation(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Held-out area under the ROC curve of a logistic regression that separates two sets.

    It is trained on a random half of each set and tested on the other halves; the training halves
    give the standardisation of both.

    Args:
        a, b: codes [n, d], [m, d], at least two rows each.
        seed: int. Chooses the halves.
    """
    rng = np.random.default_rng(seed)
    halves = [np.array_split(each[rng.permutation(len(each))], 2) for each in (a, b)]
    train, test = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    known, truth = (
        np.repeat([0, 1], [len(part) for part in parts]) for parts in zip(*halves, strict=True)
    )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(train, known)
    return float(roc_auc_score(truth, classifier.decision_function(test)))
