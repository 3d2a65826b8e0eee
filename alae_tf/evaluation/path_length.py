"""Perceptual path length (Karras et al. 2019; the paper's Table 6): how smoothly images follow
their codes."""

from __future__ import annotations

import numpy as np

from alae_tf.evaluation.samples import PART, Samples
from alae_tf.latents.codes import slerp

EPSILON = 1e-4
KEPT = (1, 99)  # percentiles; distances beyond them are left out
PAIRS = 10_000  # at most; published figures have 100,000
LARGEST = 256  # pixels a side that LPIPS looks at, as published


def path_length(samples: Samples, space: str, where: str) -> float:
    """Mean LPIPS between images of two codes ε apart, divided by ε².

    As published but for the number of pairs: codes are mixed linearly in w and spherically in z;
    both images of a pair have the same noise; images of over 256 pixels a side are shrunk by
    means; the lowest and the highest hundredth of the distances are left out.

    Args:
        samples: what is measured; its `count` pairs, 10,000 at most.
        space: "w" or "z".
        where: "full": anywhere between the two codes; "end": at the first.
    """
    network, model, protocol = samples.network("lpips"), samples.model, samples.protocol
    count = min(samples.count, PAIRS)
    samples.counts["pairs"] = count
    z = model.sample_z(2 * count, protocol.seed)
    t = np.zeros(count) if where == "end" else np.random.default_rng(protocol.seed).random(count)
    distances = []
    for start in range(0, count, PART):
        stop = min(start + PART, count)
        a, b, at = z[start:stop], z[count + start : count + stop], t[start:stop, None]
        if space == "z":
            pair = [model.map(arcs(a, b, at[:, 0] + step)) for step in (0.0, EPSILON)]
        else:
            a, b = model.map(a), model.map(b)
            pair = [(a + (b - a) * (at + step)).astype(np.float32) for step in (0.0, EPSILON)]
        drawn = [samples.decode(model.truncate(w, protocol.psi), start, floats=True) for w in pair]
        if protocol.crop:
            drawn = [middle(images) for images in drawn]
        distances.append(network.distance(*map(shrunk, drawn)) / EPSILON**2)
    values = np.concatenate(distances)
    low, high = (
        np.percentile(values, KEPT[0], method="lower"),
        np.percentile(values, KEPT[1], method="higher"),
    )
    return float(values[(values >= low) & (values <= high)].mean())


def arcs(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Each pair of z [N, d], brought to the length √d that z has on average, at its own t [N].

    F normalises z; other maps must get vectors of its length.
    """
    a, b = (x * (x.shape[1] ** 0.5 / np.linalg.norm(x, axis=1, keepdims=True)) for x in (a, b))
    return np.stack([slerp(*each) for each in zip(a, b, t, strict=True)])


def shrunk(images: np.ndarray) -> np.ndarray:
    """Images of at most 256 pixels a side; larger ones by means over squares of pixels."""
    factor = max(images.shape[1] // LARGEST, 1)
    if factor == 1:
        return images
    n, h, w, c = images.shape
    return images.reshape(n, h // factor, factor, w // factor, factor, c).mean((2, 4))


def middle(images: np.ndarray) -> np.ndarray:
    """StyleGAN's crop of aligned faces: rows from 3/8 to 7/8, columns from 1/4 to 3/4."""
    side = images.shape[1]
    return images[:, side * 3 // 8 : side * 7 // 8, side // 4 : side * 3 // 4]
