"""Keras' own file, which `alae_tf.from_pretrained` also reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .formats import File, Format

if TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder

    from .exporter import Exporter

NAME = "model.keras"


class KerasModel:
    """A model, run by Keras, as a `formats.Runtime`."""

    def __init__(self, model: Autoencoder):
        self.model = model

    def run(self, graph: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of `encode` and `encode_styles` (images), or `decode` (w)."""
        if graph == "encode":
            return {"w": self.model.encode(inputs["images"])}
        if graph == "encode_styles":
            return {"styles": self.model.encode(inputs["images"], layers=True)}
        return {"images": self.model.decode(inputs["w"], floats=True)}


def opened(path: Path, threads: int) -> KerasModel:
    """Opens a .keras file. `threads` is ignored: TensorFlow sets them per process."""
    from alae_tf.model import keras_file  # imports TensorFlow

    return KerasModel(keras_file.load(path))


def write(work: Exporter, file: File) -> None:
    """Writes model.keras."""
    from alae_tf.model import keras_file

    keras_file.save(work.model, work.folder / file.name)


FORMAT = Format(
    "keras",
    "a model.keras for Keras in Python",
    patterns=(NAME,),
    files=lambda options: [File(NAME, ("encode", "encode_styles", "decode"))],
    write=write,
    runtimes={"Keras": opened},
    default=False,
)
