"""ablations.jsonl as the tables of docs/results.md and as docs/pictures/ablations.png.

python docs/results/ablations.py
"""

from __future__ import annotations

import collections
import json
import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
KINDS = {
    "mlp": "MLP-ALAE, MNIST, 10 epochs",
    "style": "StyleALAE, MNIST at 16 px, 3.5 epochs",
    "faces": "StyleALAE, faces at 32 px, 10 epochs",
}
VARIANTS = {"joint": "joint, w", "separate": "separate, w", "z": "joint, z"}
# Metric → (its name for people, factor, the better direction).
METRICS = {
    "representation/1nn_short": ("1-NN short, %", 100, "higher"),
    "representation/svm_short": ("SVM short, %", 100, "higher"),
    "representation/1nn_long": ("1-NN long, %", 100, "higher"),
    "representation/svm_long": ("SVM long, %", 100, "higher"),
    "same_digit": ("digit kept, %", 100, "higher"),
    "fd_digits": ("fd_digits, generated", 1, "lower"),
    "fd_digits_reconstruction": ("fd_digits, reconstructed", 1, "lower"),
    "fd_lpips": ("fd_lpips, generated", 1, "lower"),
    "fd_lpips_reconstruction": ("fd_lpips, reconstructed", 1, "lower"),
    "latent_cycle": ("latent cycle", 1, "lower"),
    "lpips_reconstruction": ("LPIPS", 1, "lower"),
    "psnr": ("PSNR, dB", 1, "higher"),
}


def read() -> dict[tuple[str, str, str], dict[int, float]]:
    """(kind, variant, metric) → value by seed; the newest line of each counts."""
    found: dict[tuple[str, str, str], dict[int, float]] = collections.defaultdict(dict)
    for line in (HERE / "ablations.jsonl").read_text().splitlines():
        row = json.loads(line)
        kind, variant, seed = re.fullmatch(
            r"runs/ablate_(\w+?)_(\w+)_(\d)", row["model"]["run_dir"]
        ).groups()
        found[kind, variant, row["metric"]][int(seed)] = row["value"]
    return found


def main() -> None:
    """Prints the tables and draws the plot."""
    found = read()
    for kind, title in KINDS.items():
        metrics = [m for m in METRICS if any((kind, v, m) in found for v in VARIANTS)]
        if not metrics:
            continue
        print(f"\n| {title} | {' | '.join(VARIANTS.values())} | better |\n|---|---|---|---|---|")
        for metric in metrics:
            name, factor, better = METRICS[metric]
            cells = []
            for variant in VARIANTS:
                values = factor * np.array(list(found.get((kind, variant, metric), {}).values()))
                spread = f" ± {values.std(ddof=1):.3g}" if len(values) > 1 else ""
                cells.append(f"{values.mean():.3g}{spread} ({len(values)})" if len(values) else "–")
            print(f"| {name} | {' | '.join(cells)} | {better} |")
    kinds = [kind for kind in KINDS if any(key[0] == kind for key in found)]
    columns = max(sum(any((k, v, m) in found for v in VARIANTS) for m in METRICS) for k in kinds)
    figure = Figure(figsize=(1.9 * columns, 2.4 * len(kinds)), layout="constrained")
    grid = figure.subplots(len(kinds), columns, squeeze=False)
    for kind, axes in zip(kinds, grid, strict=True):
        metrics = [m for m in METRICS if any((kind, v, m) in found for v in VARIANTS)]
        for axis in axes[len(metrics) :]:
            axis.axis("off")
        axes[0].set_ylabel(KINDS[kind].replace(", ", "\n"), fontsize=8)
        for metric, axis in zip(metrics, axes, strict=False):
            name, factor, better = METRICS[metric]
            for place, variant in enumerate(VARIANTS):
                values = factor * np.array(list(found.get((kind, variant, metric), {}).values()))
                if len(values):
                    axis.plot([place] * len(values), values, "o", color="0.6", markersize=3)
                    error = values.std(ddof=1) if len(values) > 1 else 0
                    axis.errorbar([place], [values.mean()], [error], fmt="_", capsize=4, color="C0")
            axis.set_title(f"{name} {'↑' if better == 'higher' else '↓'}", fontsize=8)
            axis.set_xticks(range(len(VARIANTS)), list(VARIANTS), fontsize=7)
            axis.tick_params(axis="y", labelsize=7)
            axis.margins(x=0.3)
    figure.savefig(HERE.parent / "pictures" / "ablations.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
