"""Pictures of a run: a file for each kind of figure, with the record of the kind at its end."""

import importlib

from alae_tf.figures.kind import Drawing, Figure, FigureError, Kind

__all__ = ["KINDS", "Drawing", "Figure", "FigureError", "Kind"]

FILES = (
    "reconstruct",
    "generate",
    "interpolate",
    "mix",
    "traverse",
    "training",
    "nearest",
    "embedding",
    "project",
)
# In the order of --help. Other packages can add kinds, see `alae_tf.system.plugins`.
KINDS: dict[str, Kind] = {
    name: importlib.import_module(f"alae_tf.figures.{name}").KIND for name in FILES
}
