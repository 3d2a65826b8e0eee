"""What an export starts from: the model and real images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

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


@dataclasses.dataclass(frozen=True)
class Weights:
    """Which weights a model has.

    Attributes:
        trained: whether they are a run's; random otherwise.
        images_seen: in the training of the run.
        sha256: of the values of all variables and the blend.
    """

    trained: bool
    images_seen: int
    sha256: str


def load(
    run_dir: Path | None, untrained: Path | None, level: int | None
) -> tuple[Autoencoder, Weights]:
    """The model to export, in float32, and which weights it has.

    Args:
        run_dir: of the run whose EMA weights are taken.
        untrained: instead, a config with random weights.
        level: of those that the run has reached; None: the one it is at.

    Raises:
        CheckpointError, ConfigError: no run or config, or no checkpoint.
        ExportError: a level that the run has not reached.
    """
    logging.set_verbosity(logging.ERROR)  # converters warn of gradients, which are not exported
    tf.get_logger().setLevel("ERROR")
    if run_dir:
        model = load_model(run_dir)
    else:
        assert untrained is not None
        float32.use()  # as `load_model` does
        config = Config.load(untrained).replace(precision="float32")
        model = Autoencoder(config, build_alae(config))
    reached = model.level
    level = reached if level is None else level
    if not 0 <= level <= reached:
        raise ExportError(f"--level={level}: must be 0 to {reached}, which the run has reached.")
    config = model.config.replace(precision="float32")
    blend = model.blend if level == reached else 1.0
    model = Autoencoder(config, model.alae, level, blend, model.images_seen)
    weights = Weights(not untrained, model.images_seen or 0, checksum(model.alae, blend))
    return model, weights


def real_images(uri: str, resolution: int, channels: int, count: int) -> np.ndarray:
    """Fitted images spread evenly over a source, repeated if it has fewer: uint8 [count, H, W, C].

    Raises:
        ExportError: the data cannot be read, or has other channels.
    """
    flag = "--representative_data"
    try:
        source = open_source(uri)
        source = source.held_out or source
        if source.channels != channels:
            raise ExportError(
                f"{flag}={uri}: images of {source.channels} channels, the model takes {channels}."
            )
        return np.stack([source.fitted(i, resolution) for i in evenly(source, count).tolist()])
    except DataError as error:
        message = str(error).replace("--data=", f"{flag}=")
        raise ExportError(f"{message}\nName real images for the comparison by {flag}.") from None
