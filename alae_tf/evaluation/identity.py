"""Whether reconstructions of faces show the same person, judged by a face recognition network."""

import re
from pathlib import PurePosixPath

import numpy as np
from sklearn.metrics import pairwise_distances

from alae_tf.data import Source, evenly
from alae_tf.data.folder import FolderSource
from alae_tf.evaluation.found import nearest_is_own
from alae_tf.evaluation.samples import Samples
from alae_tf.features.identity import SAME

CANDIDATES = 350
MOST_NAMED = 2000  # photographs of which all pairs are compared
NUMBERED = re.compile(r"(.+)_\d+")  # file names as in Labeled Faces in the Wild: Name_0001


def identity(samples: Samples) -> dict[str, float]:
    """How near reconstructions come to their own photographs, by `alae_tf.features.identity`.

    Returns:
        - distance: mean Euclidean distance to the own photograph.
        - within_0.6: share within 0.6, dlib's threshold for one person.
        - found: share whose nearest of 350 photographs is their own. With fewer photographs, fewer
          are compared; the counts say how many ("candidates").
        - same_person, two_people: mean distances of pairs of photographs of one person and of two;
          same_person_within_0.6, two_people_within_0.6: shares of these pairs within 0.6. Only if
          labels, or file names such as Name_0001.jpg, say who is in the photographs.
    """
    real, made = (samples.features(kind, "identity") for kind in ("real", "reconstructed"))
    chosen = samples.candidates(CANDIDATES)
    others = samples.features_of(chosen, "identity")
    distances = np.linalg.norm(made - real, axis=1)
    return {
        "distance": float(distances.mean()),
        f"within_{SAME}": float((distances <= SAME).mean()),
        "found": found_by_features(samples.indices, real, made, chosen, others),
        **real_pairs(people(samples.real_source), samples.indices, real),
    }


def found_by_features(
    indices: np.ndarray, real: np.ndarray, made: np.ndarray, chosen: np.ndarray, others: np.ndarray
) -> float:
    """Share of images whose nearest candidate is their own photograph.

    Args:
        indices, real: indices of the photographs in their source [n], and their features [n, d].
        made: features of the images made from the photographs [n, d].
        chosen, others: indices [c] and features [c, d] of the candidates.
    """
    own = np.linalg.norm(made - real, axis=1)
    return float(nearest_is_own(own, pairwise_distances(made, others), indices, chosen).mean())


def people(source: Source) -> np.ndarray | None:
    """Who is in each image of a source [len], by its labels or else its file names; None if neither
    says."""
    if source.labels is not None:
        return source.labels
    if not isinstance(source, FolderSource):
        return None
    found = [NUMBERED.fullmatch(PurePosixPath(name).stem) for name in source.files]
    return None if None in found else np.array([match[1] for match in found if match])


def real_pairs(
    names: np.ndarray | None, indices: np.ndarray, features: np.ndarray
) -> dict[str, float]:
    """Mean distances, and shares within 0.6, of pairs of real photographs of one person and of two;
    {} unless both kinds of pairs exist.

    Args:
        names: who is in each image of the source, or None; see `people`.
        indices: indices of photographs in the source, ascending [n]; at most 2,000, evenly spread,
            are compared.
        features: features of these photographs [n, d].
    """
    if names is None:
        return {}
    used = evenly(indices, min(len(indices), MOST_NAMED))
    names = names[indices[used]]
    pairs = np.triu_indices(len(used), k=1)
    distances = pairwise_distances(features[used])[pairs]
    same = (names[:, np.newaxis] == names)[pairs]
    if same.all() or not same.any():
        return {}
    kinds = {"same_person": distances[same], "two_people": distances[~same]}
    means = {name: float(each.mean()) for name, each in kinds.items()}
    within = {f"{name}_within_{SAME}": float((each <= SAME).mean()) for name, each in kinds.items()}
    return means | within
