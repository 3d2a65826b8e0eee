"""Loads the model to export, and real images to compare it on."""

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from alae_tf.config import Config
from alae_tf.data import DataError, evenly, open_source
from alae_tf.model.autoencoder import Autoencoder, load_model
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import checksum
from alae_tf.system import float32

from . import ExportError
from .formats import Options


@dataclasses.dataclass(frozen=True)
class Weights:
    """Identifies the weights of a model: trained or random, the number of images that training has
    seen, and the checksum of all variables and the blend."""

    trained: bool
    images_seen: int
    sha256: str


def load(options: Options) -> tuple[Autoencoder, Weights]:
    """Loads a model in float32, and identifies its weights.

    The EMA weights of a run at a checkpoint and a level that it has reached (None: the current
    one); without a run, random weights with the config `untrained`. Raises AlaeError if one of
    these options is wrong.
    """
    logging.set_verbosity(logging.ERROR)  # converters warn about gradients, which exports lack
    tf.get_logger().setLevel("ERROR")
    if options.run_dir:
        model = load_model(options.run_dir, options.checkpoint)
        config = model.config.replace(precision="float32")
    else:
        assert options.untrained is not None
        float32.use()  # like `load_model`
        config = Config.load(options.untrained).replace(precision="float32")
        model = Autoencoder(config, build_alae(config))
    reached = model.level
    level = reached if options.level is None else options.level
    if not 0 <= level <= reached:
        raise ExportError(f"--level={level}: the run has reached levels 0 to {reached}.")
    blend = model.blend if level == reached else 1.0
    model = Autoencoder(config, model.alae, level, blend, model.images_seen)
    trained, seen = not options.untrained, model.images_seen or 0
    return model, Weights(trained, seen, checksum(model.alae, blend))


def real_images(uri: str, resolution: int, channels: int, count: int) -> np.ndarray:
    """Fitted images, evenly spread over a source, which may repeat: uint8 [count, H, W, C]. Raises
    ExportError if the data cannot be read or has another number of channels."""
    flag = "--representative_data"
    try:
        source = open_source(uri)
        source = source.held_out or source
        if source.channels != channels:
            found = f"has {source.channels} channels, the model takes {channels}"
            raise ExportError(f"{flag}={uri}: {found}.")
        return source.take(evenly(source, count), resolution)
    except DataError as error:
        message = str(error).replace("--data=", f"{flag}=")
        raise ExportError(f"{message}\nThe comparison needs real images: give {flag}.") from None
