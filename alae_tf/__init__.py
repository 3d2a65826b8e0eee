"""Adversarial Latent Autoencoders (Pidhorskyi, Adjeroh, Doretto, CVPR 2020) in TensorFlow."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import sys
import typing
from collections.abc import Iterable

from alae_tf.system.errors import AlaeError

if typing.TYPE_CHECKING:
    import numpy as np

    from alae_tf.model.autoencoder import Autoencoder, load_model
    from alae_tf.model.pretrained import from_pretrained, save_pretrained

__all__ = ["from_pretrained", "load_model", "read_images", "save_pretrained"]
__version__ = "0.1.0"
HOMES = dict(load_model="autoencoder", from_pretrained="pretrained", save_pretrained="pretrained")

if "keras" in sys.modules:  # registers the class for `keras.saving.load_model`
    with contextlib.suppress(AlaeError):  # another backend; reported when a model is loaded
        import alae_tf.model.keras_file  # noqa: F401


def __getattr__(name: str) -> object:
    """Imports the functions that need TensorFlow on first use."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alae_tf.system import quiet

    quiet.import_tensorflow()
    return pkgutil.resolve_name(f"alae_tf.model.{HOMES[name]}:{name}")


def read_images(paths: Iterable[str | os.PathLike], model: Autoencoder) -> np.ndarray:
    """The central squares of images, resized for a model: uint8 [N, resolution, resolution,
    channels].

    `paths` are image files, and folders of them. Raises ImageError if a file is missing or cannot
    be read.
    """
    from alae_tf.images import files

    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if not hasattr(model, "resolution"):
        raise ValueError(
            f"model: got {model!r}, expected an Autoencoder, for example from `load_model`"
        )
    return files.read_images(files.find(paths), model.resolution, model.config.image_channels)
