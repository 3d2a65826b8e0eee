"""Keras' own file, which `alae_tf.from_pretrained` also reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .formats import File, Format

if TYPE_CHECKING:
    from .exporter import Exporter

NAME = "model.keras"


class KerasFile:
    """A .keras file, read by Keras. `threads` is ignored: TensorFlow sets them per process."""

    def __init__(self, path: Path, threads: int = 2):
        from alae_tf.model import keras_file  # imports TensorFlow

        self.model = keras_file.load(path)

    def run(self, graph: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of `encode` and `encode_styles` (images), or `decode` (w)."""
        if graph == "encode":
            return {"w": self.model.encode(inputs["images"])}
        if graph == "encode_styles":
            return {"styles": self.model.encode(inputs["images"], layers=True)}
        return {"images": self.model.decode(inputs["w"], floats=True)}


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
    runtimes={"Keras": KerasFile},
    default=False,
)
