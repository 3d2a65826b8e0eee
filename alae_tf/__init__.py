"""Adversarial Latent Autoencoders (Pidhorskyi, Adjeroh, Doretto, CVPR 2020) in TensorFlow."""

from __future__ import annotations

import contextlib
import os
import sys
import typing
from collections.abc import Iterable

from alae_tf.system.errors import AlaeError

if typing.TYPE_CHECKING:
    import numpy as np

    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.model.card import Card

__version__ = "0.1.0"

if "keras" in sys.modules:  # registers the class for `keras.saving.load_model`
    with contextlib.suppress(AlaeError):  # another backend; reported when a model is loaded
        import alae_tf.model.keras_file  # noqa: F401


def from_pretrained(name: str) -> Autoencoder:
    """Loads a pretrained model.

    Args:
        name: a shipped model, for example "digits"; a model's folder; a `.keras` file; or
            "hf://NAMESPACE/NAME".

    Raises:
        CheckpointError: it is missing or cannot be read.
    """
    from alae_tf.system import quiet

    quiet.import_tensorflow()
    from alae_tf.model.pretrained import from_pretrained

    return from_pretrained(name)


def save_pretrained(
    model: Autoencoder,
    path: str | os.PathLike,
    card: str | Card | None = None,
    half: bool = False,
    results: str | os.PathLike | None = None,
) -> None:
    """Writes a model and its card as a folder that `from_pretrained` loads.

    Args, Raises: see `alae_tf.model.pretrained.save_pretrained`.
    """
    from alae_tf.model import pretrained

    pretrained.save_pretrained(model, path, card, half, results)


def load_model(
    run_dir: str, checkpoint: int | None = None, weights: str = "ema", level: int | None = None
) -> Autoencoder:
    """Loads a trained run as an `Autoencoder`, which encodes, decodes, reconstructs and generates.

    Args, Raises: see `alae_tf.model.autoencoder.load_model`.
    """
    from alae_tf.system import quiet

    quiet.import_tensorflow()
    from alae_tf.model.autoencoder import load_model

    return load_model(run_dir, checkpoint, weights, level)


def read_images(paths: Iterable[str | os.PathLike], model: Autoencoder) -> np.ndarray:
    """Reads images for a model: the central square of each, resized.

    Args:
        paths: image files, and folders of them.
        model: sets the resolution and the channels.

    Returns:
        uint8 [N, resolution, resolution, channels].

    Raises:
        ImageError: a file is missing or cannot be read.
    """
    from alae_tf.images import files

    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not hasattr(model, "resolution"):
        raise ValueError(
            f"model: got {model!r}, expected an Autoencoder, for example from `load_model`"
        )
    return files.read_images(files.find(paths), model.resolution, model.config.image_channels)
