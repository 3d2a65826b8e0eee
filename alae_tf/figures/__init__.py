"""Pictures of a run: one file for each kind of figure, which ends in its record."""

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
# By name, in the order of --help. Other packages add their own; see `alae_tf.system.plugins`.
KINDS: dict[str, Kind] = {
    name: importlib.import_module(f"alae_tf.figures.{name}").KIND for name in FILES
}
