"""Draws the pictures of the trial of encoders: what each cell reconstructs and generates, and how
its figures went.

python docs/results/encoder_pictures.py cells digits 0 idx:mnist 0.7  # of runs/trial_digits_*_0
python docs/results/encoder_pictures.py curves digits
"""

from __future__ import annotations

import collections
import json
import sys
from pathlib import Path

import numpy as np
from ablations import COMPARISONS, METRICS
from matplotlib.figure import Figure

import alae_tf
from alae_tf import data
from alae_tf.data.source import Subset, evenly

HERE = Path(__file__).parent
PICTURES = HERE.parent / "pictures"
CELLS = COMPARISONS["encoder_trial"].variants
COUNT = 10  # images of each sort
GAPS = ("code_gap/real_vs_generated", "code_gap/real_vs_w")
# Kind of images → (what was measured during training, on how many images).
CURVES = {"digits": (("fd_digits", "same_digit", *GAPS), 2000), "faces": (GAPS, 972)}


def cells(kind: str, seed: str, uri: str, psi: str = "0.7") -> None:
    """One row for each cell: G(E(x)) of the same held-out images, then images generated at psi."""
    models = {cell: alae_tf.load_model(f"runs/trial_{kind}_{cell}_{seed}") for cell in CELLS}
    resolution = models["joint"].resolution
    held_out = data.open_source(uri).held_out
    images = data.all_images(Subset(held_out, evenly(held_out, COUNT)), resolution)
    rows = {"held out": np.concatenate([images, np.full_like(images, 255)])}
    for cell, model in models.items():
        rows[CELLS[cell]] = np.concatenate(
            [model.reconstruct(images), model.generate(COUNT, psi=float(psi))]
        )
    figure = Figure(figsize=(11, 0.56 * len(rows) + 0.3), layout="constrained")
    grid = figure.subplots(len(rows), 2 * COUNT + 1, width_ratios=[1] * COUNT + [0.4] + [1] * COUNT)
    for (name, row), axes in zip(rows.items(), grid, strict=True):
        axes[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for image, axis in zip(row, [*axes[:COUNT], *axes[COUNT + 1 :]], strict=True):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        for axis in axes:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
    grid[0][COUNT // 2].set_title("G(E(x))", fontsize=9)
    grid[0][COUNT + 1 + COUNT // 2].set_title("generated", fontsize=9)
    figure.savefig(PICTURES / f"encoder_trial_{kind}.png", dpi=100, metadata={"Software": None})


def curves(kind: str) -> None:
    """Mean and range over seeds of what was measured during training, against images seen."""
    metrics, count = CURVES[kind]
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for line in (HERE / "encoder_trial.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        _, of, *cell, seed = row["model"]["run_dir"].split("_")
        if of == kind and row["metric"] in metrics and count in row["counts"].values():
            at = found[row["metric"], "_".join(cell)][row["model"]["images_seen"]]
            at[seed] = row["value"]
    figure = Figure(figsize=(1 + 2.5 * len(metrics), 3), layout="constrained")
    for metric, axis in zip(metrics, figure.subplots(1, len(metrics)), strict=True):
        title, factor, _, better = METRICS[metric]
        for number, (cell, name) in enumerate(CELLS.items()):
            points = sorted(found[metric, cell].items())
            x = [images / 1000 for images, _ in points]
            low, mean, high = (
                [factor * f(list(seeds.values())) for _, seeds in points]
                for f in (min, np.mean, max)
            )
            axis.plot(x, mean, "o-", color=f"C{number}", label=name, markersize=3, linewidth=1)
            axis.fill_between(x, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
        axis.set_title(f"{title} {'↑' if better == 'higher' else '↓'}", fontsize=9)
        axis.tick_params(labelsize=7)
    axis.legend(fontsize=7)
    figure.supxlabel("thousands of images seen", fontsize=9)
    path = PICTURES / f"encoder_trial_{kind}_curves.png"
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    {"cells": cells, "curves": curves}[sys.argv[1]](*sys.argv[2:])
