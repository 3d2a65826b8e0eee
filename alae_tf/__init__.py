"""Adversarial Latent Autoencoders (Pidhorskyi, Adjeroh, Doretto, CVPR 2020) in TensorFlow."""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from alae_tf.autoencoder import Autoencoder

__version__ = "0.1.0"


def load_model(run_dir: str) -> Autoencoder:
    """A trained run as an `alae_tf.autoencoder.Autoencoder`: encode, decode, reconstruct, generate.

    Args:
        run_dir: what `python -m alae_tf.train --run_dir=…` wrote.

    Raises:
        CheckpointError: no run directory, or no checkpoint in it that can be read.
    """
    from alae_tf.autoencoder import load_model  # TensorFlow is imported when it is needed

    return load_model(run_dir)
