"""Whether G draws StyleGAN's droplets: prints how much of the energy of each feature map, before it
is normalised, is in its strongest pixel. A droplet would hold most of it.

python docs/results/droplets.py faces64
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

import alae_tf
from alae_tf.networks import ops

IMAGES = 64


def main(run_dir: str) -> None:
    """Prints, for each normalised map, the share at the strongest pixel: median and largest."""
    alae = alae_tf.from_pretrained(run_dir).alae
    maps, normalise = [], ops.instance_norm

    def keep(x: tf.Tensor, *rest: float) -> tf.Tensor:
        maps.append(x.numpy())
        return normalise(x, *rest)

    ops.instance_norm = keep
    z = tf.random.stateless_normal([IMAGES, alae.F.latent_size], [0, 1])
    alae.decode(alae.map(z), noise=alae.noise("random", IMAGES, seed=[1, 2]))
    ops.instance_norm = normalise
    print("| feature map | strongest pixel, median % | largest % | even, % |\n|---|---|---|---|")
    for x in maps:
        energy = np.square(x - x.mean((1, 2), keepdims=True)).sum(-1)
        share = 100 * energy.max((1, 2)) / energy.sum((1, 2))
        side = x.shape[1]
        print(
            f"| {side}×{side} | {np.median(share):.2f} | {share.max():.2f} | {100 / side**2:.2f} |"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
