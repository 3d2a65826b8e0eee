"""What an export starts from: the model and real images."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from alae_tf import float32
from alae_tf.autoencoder import Autoencoder
from alae_tf.config import Config
from alae_tf.data import DataError, open_source
from alae_tf.networks.alae import build_alae
from alae_tf.networks.names import named_variables
from alae_tf.runs.checkpoint import load_networks

from . import ExportError


@dataclasses.dataclass(frozen=True)
class Weights:
    """Which weights a model has.

    Attributes:
        trained: whether they are a run's, else random.
        images_seen: by the run.
        sha256: of the values of all variables and the blend.
    """

    trained: bool
    images_seen: int
    sha256: str


def load(
    run_dir: Path | None, untrained: Path | None, level: int | None
) -> tuple[Autoencoder, Weights]:
    """The model to export, in float32, and which weights it has.

    Raises:
        CheckpointError, ConfigError: no run or config, or no checkpoint.
        ExportError: a level that the run has not reached.
    """
    logging.set_verbosity(logging.ERROR)  # converters warn of gradients that nobody will ask for
    tf.get_logger().setLevel("ERROR")
    if untrained:
        float32.use()  # as `load_networks` does
        config = Config.load(untrained).replace(precision="float32")
        alae, state = build_alae(config), {"level": config.levels - 1, "blend": 1.0}
    elif run_dir:
        config, alae, state = load_networks(run_dir)
        config = config.replace(precision="float32")
    else:
        raise ExportError("give --run_dir or --untrained.")
    reached = state["level"]
    if level is not None and not 0 <= level <= reached:
        raise ExportError(f"--level={level}: must be 0 to {reached}, which the run has reached.")
    blend = state["blend"] if level in (None, reached) else 1.0
    level, seen = reached if level is None else level, state.get("images_seen")
    model = Autoencoder(config, alae, level, blend, seen)
    digest = hashlib.sha256(repr(float(blend)).encode())
    for name, variable in named_variables(alae, "alae"):
        digest.update(name.encode() + np.asarray(variable).tobytes())
    return model, Weights(not untrained, state.get("images_seen", 0), digest.hexdigest())


def real_images(uri: str, resolution: int, channels: int, count: int) -> np.ndarray:
    """The first images of a source, fitted: uint8 [count, H, W, C]; few images are repeated.

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
        indices = np.linspace(0, len(source), count, endpoint=False).astype(int)
        return np.stack([source.fitted(i, resolution) for i in indices.tolist()])
    except DataError as error:
        message = str(error).replace("--data=", f"{flag}=")
        raise ExportError(f"{message}\nName real images for the comparison by {flag}.") from None
