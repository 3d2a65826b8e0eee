"""Plots of a run. No TensorFlow."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_plot(
    rows: Sequence[Mapping[str, str]],
    labels: Mapping[str, str],
    starts: Sequence[int] = (),
    software: str | None = None,
) -> bytes:
    """The bytes of a PNG file: losses against images seen, with the levels marked.

    Args:
        rows: the whole rows of metrics.csv, at least one. An empty or missing cell is a gap.
        labels: column → name in the legend, for each loss.
        starts: images seen at the start of each level; default: at the level's first row.
        software: see `picture.png`.
    """
    from matplotlib.figure import Figure

    images = [int(row["images_seen"]) for row in rows]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for column, label in labels.items():
        values = [float(row.get(column) or "nan") for row in rows]
        axes.plot(images, values, label=label, linewidth=1)
    for before, row in itertools.pairwise(rows):
        if before["level"] != (level := row["level"]):
            start = starts[int(level)] if int(level) < len(starts) else int(row["images_seen"])
            axes.axvline(start, color="grey", linestyle=":")
            where: dict[str, Any] = dict(xycoords=("data", "axes fraction"), va="top", color="grey")
            axes.annotate(f" level {level}", (start, 0.98), **where)
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    figure.legend(loc="outside upper center", ncols=len(labels), frameon=False)
    return saved(figure, "png", software, dpi=100)


def curve_plot(curves: Mapping[str, Sequence[float]], label: str) -> np.ndarray:
    """Curves by their names in the legend, against 0, 1, 2 …, as a picture uint8 [H, W, 3].

    `label` is the label of the horizontal axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), dpi=100, layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot(values, label=name)
    axes.set(xlabel=label, ylim=(0, None))
    axes.legend()
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    return np.asarray(drawn.buffer_rgba())[..., :3].copy()


def class_plot(
    points: np.ndarray, labels: np.ndarray, names: Sequence[str], kind: str = "png"
) -> bytes:
    """The bytes of a file, "png" or "pdf": points [N, 2], coloured by their classes [N].

    `names` are those of the classes, by number.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["tab10" if len(names) <= 10 else "tab20"]
    for number, name in enumerate(names):
        of = points[labels == number]
        colour = colours(number % colours.N)
        axes.scatter(of[:, 0], of[:, 1], s=6, color=colour, label=f"{name} ({len(of):,})")
        if len(of):
            middle = tuple(np.median(of, axis=0))
            axes.annotate(name, middle, weight="bold", ha="center", va="center")
    axes.set(xticks=[], yticks=[], aspect="equal")
    if len(names) <= 20:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False)
    return saved(figure, kind, dpi=120, bbox_inches="tight")


def saved(figure: Figure, kind: str, software: str | None = None, **options: Any) -> bytes:
    """The bytes of a file, "png" or "pdf", without a date: the same figure gives the same bytes.
    `software`: of a PNG file; see `picture.png`."""
    file = io.BytesIO()
    undated = {"CreationDate": None} if kind == "pdf" else {"Software": software}
    figure.savefig(file, format=kind, metadata=undated, **options)
    return file.getvalue()
