"""Pictures of a run: a file for each kind of figure, with its record; `KINDS` lists them."""

from alae_tf.figures import (
    embedding,
    generate,
    interpolate,
    mix,
    nearest,
    project,
    reconstruct,
    training,
    traverse,
)
from alae_tf.figures.kind import Drawing, Figure, FigureError, Kind

__all__ = ["KINDS", "Drawing", "Figure", "FigureError", "Kind"]

KINDS: dict[str, Kind] = {
    "reconstruct": reconstruct.KIND,
    "generate": generate.KIND,
    "interpolate": interpolate.KIND,
    "mix": mix.KIND,
    "traverse": traverse.KIND,
    "training": training.KIND,
    "nearest": nearest.KIND,
    "embedding": embedding.KIND,
    "project": project.KIND,
}
