"""The networks of a StyleALAE."""

from __future__ import annotations

from typing import Any

import keras

from alae_tf.config import Config
from alae_tf.networks.discriminator import Discriminator, ImageDiscriminator
from alae_tf.networks.encoder import DenseEncoder, Encoder, LayeredEncoder
from alae_tf.networks.generator import Generator
from alae_tf.networks.mapping import MappingNetwork
from alae_tf.networks.readout import Readout


def build(config: Config, dtype: str) -> dict[str, keras.Model]:
    """New G, E, F and D of a config with --architecture=style."""
    body: dict[str, Any] = dict(
        levels=config.levels,
        start_channels=config.start_channels,
        max_channels=config.max_channels,
        image_channels=config.image_channels,
        dtype=dtype if config.precision == "float32" else f"mixed_{config.precision}",
    )
    heads = {"styles": Encoder, "dense": DenseEncoder, "readout": Readout}
    layers = config.encoder_codes == "layers"
    encoder = LayeredEncoder if layers else heads[config.encoder_head]
    separate = config.discriminator == "separate"
    return {
        "G": Generator(**body, latent_size=config.latent_size, name="G"),
        "E": encoder(**body, latent_size=config.latent_size, name="E"),
        "F": MappingNetwork(config.latent_size, config.mapping_layers, dtype=dtype, name="F"),
        "D": ImageDiscriminator(**body, name="D")
        if separate
        else Discriminator(config.latent_size, dtype=dtype, name="D"),
    }
