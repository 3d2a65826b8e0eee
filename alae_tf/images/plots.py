"""Plots of a run. No TensorFlow."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np


def loss_plot(rows: Sequence[dict[str, str]], starts: Sequence[int] = ()) -> bytes:
    """The rows of metrics.csv as a PNG: the three losses against images seen, levels marked.

    Args:
        rows: one or more.
        starts: images seen at which each level starts; default: its first row.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    images = [int(row["images_seen"]) for row in rows]
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    labels = {"d": "1: E, D (with R1)", "g": "2: F, G", "latent": "3: latent reconstruction"}
    for name, label in labels.items():
        axes.plot(images, [float(row[f"loss_{name}"]) for row in rows], label=label, linewidth=1)
    for before, row in itertools.pairwise(rows):
        if before["level"] != (level := row["level"]):
            start = starts[int(level)] if int(level) < len(starts) else int(row["images_seen"])
            axes.axvline(start, color="grey", linestyle=":")
            axes.annotate(
                f" level {level}",
                (start, 0.98),
                xycoords=("data", "axes fraction"),
                va="top",
                color="grey",
            )
    axes.set(xlabel="images seen", ylabel="loss", yscale="log")
    axes.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    pyplot.close(figure)
    return file.getvalue()


def curve_plot(curves: Mapping[str, Sequence[float]], label: str) -> np.ndarray:
    """Curves by name against 0, 1, 2 …, as a picture uint8 [H, W, 3].

    Args:
        curves: values by name.
        label: what is counted.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = pyplot.subplots(figsize=(6, 3), dpi=100, layout="constrained")
    for name, values in curves.items():
        axes.plot(values, label=name)
    axes.set(xlabel=label, ylim=(0, None))
    axes.legend()
    drawn = FigureCanvasAgg(figure)
    drawn.draw()
    picture = np.asarray(drawn.buffer_rgba())[..., :3].copy()
    pyplot.close(figure)
    return picture
