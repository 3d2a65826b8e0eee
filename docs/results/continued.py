"""Plots how the last step of models/faces64 went, from faces64.jsonl.

python docs/results/continued.py       # draws docs/pictures/faces_continued.png
"""

from __future__ import annotations

import collections
import json
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
RUN, START, END = "runs/faces64_eg", 285_840, 142_496  # images
# Metric → (its name for people, factor, the target).
METRICS = {
    "fd_lpips": ("fd_lpips, generated", 1, 22),
    "recall": ("recall, %", 100, 30),
    "precision": ("precision, %", 100, None),
    "psnr": ("PSNR, dB", 1, 20),
    "lpips_reconstruction": ("LPIPS (VGG)", 1, 0.20),
    "lpips_alex_reconstruction": ("LPIPS (AlexNet)", 1, None),
    "identity/distance": ("identity, distance", 1, 0.50),
    "identity/found": ("nearest of 350, %", 100, 25),
    "found": ("nearest of 50 in pixels, %", 100, 99),
    "latent_cycle": ("latent cycle", 1, None),
}


def read() -> dict[str, dict[int, float]]:
    """Metric → images seen in the step → value, of measurements on 972 photographs."""
    found = collections.defaultdict(dict)
    for line in (HERE / "faces64.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        model, name = row["model"], row["metric"]
        if 972 not in row["counts"].values() or name not in METRICS:
            continue
        if model["run_dir"] == RUN:
            found[name][model["images_seen"] - START] = row["value"]
        elif model["run_dir"] == "faces64" and model["images_seen"] is not None:
            begun = model["images_seen"] == 400_000  # with E refined
            found[name][0 if begun else END] = row["value"]
    return found


def main() -> None:
    """Draws the plot."""
    found = read()
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, (name, (title, factor, target)) in zip(
        figure.subplots(2, 5).flat, METRICS.items(), strict=True
    ):
        images, values = zip(*sorted(found[name].items()), strict=True)
        axis.plot([n / 1000 for n in images], [factor * v for v in values], "o-", markersize=3)
        if target is not None:
            axis.axhline(target, color="0.6", linestyle="--", linewidth=1)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    figure.supxlabel("thousands of images in this step; dashed: target", fontsize=9)
    path = HERE.parent / "pictures" / "faces_continued.png"
    figure.savefig(path, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
