"""Trained models as `.keras` files or on the Hugging Face Hub (`hf://`).

import keras
import alae_tf.model.keras_file  # registers the class

model = keras.saving.load_model("model.keras")
"""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from alae_tf.config import Config
from alae_tf.config.settings import to_text
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import ALAE, build_alae
from alae_tf.runs.checkpoint import check_state
from alae_tf.system import float32, schema
from alae_tf.system.errors import CheckpointError

HUB = "hf://"
FIELDS = {  # of the model in the file; see `schema`
    "config": {str: str},
    "level": int,
    "blend": float,
    "images_seen": (int, None),
}


@keras.saving.register_keras_serializable("alae_tf")
class TrainedALAE(keras.Model):
    """An ALAE with its config and the progress of its growing, which a file of weights lacks.

    Args:
        config: the run's config, a string for each field as in its flagfile.
        level, blend, images_seen: see `alae_tf.model.autoencoder.Autoencoder`.

    Call: images [N, H, W, C] in [−1, 1] → reconstructions G(E(x)) with constant noise.
    """

    def __init__(
        self, config: dict[str, str], level: int, blend: float, images_seen: int | None, **kwargs
    ):
        super().__init__(**kwargs)
        self.settings = Config.from_text(config)
        self.level, self.blend, self.images_seen = level, blend, images_seen
        self.alae = build_alae(self.settings.replace(precision="float32"))
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TrainedALAE:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The model that a file describes; it computes in true float32 (`alae_tf.system.float32`).
        Raises CheckpointError if a setting, the level, the blend or `images_seen` is wrong."""
        try:
            schema.check(config, FIELDS)
            state = {**config, "images_seen": config["images_seen"] or 0}  # null: unknown
            check_state(state, levels=Config.from_text(config["config"]).levels)
        except ValueError as error:
            raise CheckpointError(f"Keras model: {error}") from None
        float32.use()
        return cls(**config)

    @classmethod
    def of(cls, model: Autoencoder) -> TrainedALAE:
        """A copy of a model."""
        config = _texts(model.config.replace(init_from=""))
        made = cls(config, model.level, float(model.blend), model.images_seen, name="alae_tf")
        for ours, theirs in zip(made.alae.variables, model.alae.variables, strict=True):
            ours.assign(theirs)
        return made

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "config": _texts(self.settings),
            "level": self.level,
            "blend": self.blend,
            "images_seen": self.images_seen,
        }

    def call(self, images: tf.Tensor) -> tf.Tensor:
        noise = self.alae.noise("const", 1, self.level)
        styles, _ = self.alae.codes(images, self.level, self.blend)
        return self.alae.decode(styles, self.level, self.blend, noise)

    fit, export = ALAE.fit, ALAE.export  # which raise TypeError


def _texts(config: Config) -> dict[str, str]:
    """The settings as strings."""
    names = [field.name for field in dataclasses.fields(config)]
    return {name: to_text(getattr(config, name)) for name in names}


def load(path: str | Path) -> Autoencoder:
    """A model from a `.keras` file, or from "hf://NAMESPACE/NAME", which Keras fetches (package
    huggingface_hub). Raises CheckpointError if it is missing, damaged or not of this project."""
    if not str(path).startswith(HUB):
        if not Path(path).is_file():
            raise CheckpointError(f"{path}: no such file.")
        if not zipfile.is_zipfile(path):
            raise CheckpointError(f"{path}: not a .keras file, or cut short.")
    try:
        model = keras.saving.load_model(str(path))
    except Exception as error:  # Keras raises exceptions of many classes
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be read as a Keras model ({why}).") from None
    if not isinstance(model, TrainedALAE):
        raise CheckpointError(f"{path}: is a {type(model).__name__}, not an ALAE of this project.")
    return Autoencoder(model.settings, model.alae, model.level, model.blend, model.images_seen)


def save(model: Autoencoder, path: str | Path) -> None:
    """Writes a model to a `.keras` file, or to the Hub at "hf://NAMESPACE/NAME"."""
    TrainedALAE.of(model).save(str(path))
