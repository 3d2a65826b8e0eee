"""Perceptual path length (Karras et al. 2019; the paper's Table 6): how smoothly images change with
their codes."""

import numpy as np

from alae_tf.evaluation.samples import PART, Samples
from alae_tf.latents.codes import slerp

EPSILON = 1e-4
KEPT = (1, 99)  # percentiles between which distances count
PAIRS = 10_000  # at most, unless the protocol has a number; published figures have 100,000
LARGEST = 256  # pixels per side that LPIPS sees, as published
# The authors' crops: the side of the square that is used, as a share of the image's side. Faces
# fill more of CelebA's images than of FFHQ's.
CROPS = {"none": 1.0, "ffhq": 1 / 2, "celeba": 1 / 1.641}


def path_length(samples: Samples, space: str, where: str) -> float:
    """Mean LPIPS between images of two codes ε apart, divided by ε².

    As published, except for the number of pairs: paths are straight in w and arcs in z, both images
    of a pair have the same noise, images of more than 256 px are averaged down, and the lowest and
    the highest 1 % of the distances are left out. The space is "w" or "z"; "full" measures anywhere
    between two codes, "end" at the first code.
    """
    network, model, protocol = samples.network("lpips"), samples.model, samples.protocol
    count = samples.protocol.generated or min(samples.count, PAIRS)
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
        if protocol.crop != "none":
            drawn = [middle(images, CROPS[protocol.crop]) for images in drawn]
        distances.append(network.distance(*map(shrunk, drawn)) / EPSILON**2)
    values = np.concatenate(distances)
    low = np.percentile(values, KEPT[0], method="lower")
    high = np.percentile(values, KEPT[1], method="higher")
    return float(values[(values >= low) & (values <= high)].mean())


def arcs(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points on the arcs from a to b [N, d], at one t [N] each.

    They are scaled to √d, the average length of z: F ignores the length, but principal components
    do not.
    """
    a, b = (x * (x.shape[1] ** 0.5 / np.linalg.norm(x, axis=1, keepdims=True)) for x in (a, b))
    return np.stack([slerp(*each) for each in zip(a, b, t, strict=True)])


def shrunk(images: np.ndarray) -> np.ndarray:
    """Images of at most 256 px; larger ones are averaged over squares of pixels."""
    factor = max(images.shape[1] // LARGEST, 1)
    if factor == 1:
        return images
    n, h, w, c = images.shape
    return images.reshape(n, h // factor, factor, w // factor, factor, c).mean((2, 4))


def middle(images: np.ndarray, share: float) -> np.ndarray:
    """The square of aligned faces whose side is this share of the images' side, around 5/8 of the
    height. A share of 1/2 is StyleGAN's crop: rows 3/8 to 7/8, columns 1/4 to 3/4."""
    side = images.shape[1]
    half, row, column = int(share * side) // 2, side * 5 // 8, side // 2
    return images[:, row - half : row + half, column - half : column + half]
