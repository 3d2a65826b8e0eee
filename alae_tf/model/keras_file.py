"""A trained model as Keras' own file, or on the Hugging Face Hub: `.keras` and `hf://`.

import keras
import alae_tf.model.keras_file  # Keras must know the class

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
from alae_tf.networks.alae import build_alae
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
    """An ALAE with what a file of weights lacks: its config, and where the growing stands.

    Args:
        config: the run's, a text for each field, as in its flagfile.
        level, blend, images_seen: see `alae_tf.model.autoencoder.Autoencoder`.

    Call: images [N, H, W, C] in [−1, 1] → their reconstructions G(E(x)), the same noise each time.
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
        """The model that a file describes, computing in true float32 (`alae_tf.system.float32`).

        Raises:
            CheckpointError: a setting, the level, the blend or the number of images is wrong.
        """
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
        """The same model, with its weights copied."""
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
        w = self.alae.encode(images, self.level, self.blend)
        return self.alae.decode(w, self.level, self.blend, noise)

    def fit(self, *args, **kwargs):
        """As of `alae_tf.networks.alae.ALAE`: refused, and told what to use instead."""
        return self.alae.fit(*args, **kwargs)

    def export(self, *args, **kwargs):
        """Likewise."""
        return self.alae.export(*args, **kwargs)

    def autoencoder(self) -> Autoencoder:
        """The same weights behind `Autoencoder`'s methods."""
        return Autoencoder(self.settings, self.alae, self.level, self.blend, self.images_seen)


def _texts(config: Config) -> dict[str, str]:
    """The settings, each as text."""
    return {
        field.name: to_text(getattr(config, field.name)) for field in dataclasses.fields(config)
    }


def load(path: str | Path) -> Autoencoder:
    """A model from a `.keras` file or from the Hub.

    Args:
        path: a file, or "hf://NAMESPACE/NAME", which Keras fetches (package huggingface_hub).

    Raises:
        CheckpointError: it is not there, damaged, or no ALAE of this project.
    """
    if not str(path).startswith(HUB) and not Path(path).is_file():
        raise CheckpointError(f"{path}: no such file.")
    if not str(path).startswith(HUB) and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: is no whole .keras file.")
    try:
        model = keras.saving.load_model(str(path))
    except Exception as error:  # Keras' readers raise whatever they stumble over
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: cannot be read as a Keras model ({why}).") from None
    if not isinstance(model, TrainedALAE):
        raise CheckpointError(f"{path}: is a {type(model).__name__}, no ALAE of this project.")
    return model.autoencoder()


def save(model: Autoencoder, path: str | Path) -> None:
    """Writes a model as a `.keras` file, or to the Hub as "hf://NAMESPACE/NAME"."""
    TrainedALAE.of(model).save(str(path))
