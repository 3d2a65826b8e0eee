"""ablations.jsonl as the tables of docs/results.md and as docs/pictures/ablations.png.

Lines of speed are `alae_tf.benchmark`'s, the others `alae_tf.evaluate`'s.

python docs/results/ablations.py
"""

from __future__ import annotations

import collections
import itertools
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_ind

HERE = Path(__file__).parent
COLUMNS = 6
KINDS = {
    "mlp": "MLP-ALAE, MNIST, 10 epochs",
    "style": "StyleALAE, MNIST at 16 px, 3.5 epochs",
    "faces": "StyleALAE, faces at 32 px, 10 epochs",
}
VARIANTS = {"joint": "joint, w", "separate": "separate, w", "z": "joint, z"}
# Metric → (its name for people, factor, decimals, the better direction).
METRICS = {
    "representation/1nn_short": ("1-NN short, %", 100, 1, "higher"),
    "representation/svm_short": ("SVM short, %", 100, 1, "higher"),
    "representation/1nn_long": ("1-NN long, %", 100, 1, "higher"),
    "representation/svm_long": ("SVM long, %", 100, 1, "higher"),
    "same_digit": ("digit kept, %", 100, 1, "higher"),
    "fd_digits": ("fd_digits, generated", 1, 1, "lower"),
    "fd_digits_reconstruction": ("fd_digits, reconstructed", 1, 1, "lower"),
    "fd_lpips": ("fd_lpips, generated", 1, 1, "lower"),
    "fd_lpips_reconstruction": ("fd_lpips, reconstructed", 1, 1, "lower"),
    "kd_lpips": ("kd_lpips, generated", 1, 3, "lower"),
    "kd_lpips_reconstruction": ("kd_lpips, reconstructed", 1, 3, "lower"),
    "latent_cycle": ("latent cycle", 1, 2, "lower"),
    "lpips_reconstruction": ("LPIPS", 1, 3, "lower"),
    "psnr": ("PSNR, dB", 1, 1, "higher"),
    "images_per_second": ("images/s in training", 1, 0, "higher"),
}


def read() -> dict[tuple[str, str, str], np.ndarray]:
    """(kind, variant, metric) → its values, one a seed (of speed: a round); the newest lines."""
    found: dict[tuple[str, str, str], dict[str, float]] = collections.defaultdict(dict)
    for line in (HERE / "ablations.jsonl").read_text().splitlines():
        row = json.loads(line)
        _, kind, variant, seed = row["model"]["run_dir"].split("_")
        if row["metric"] in METRICS:
            found[kind, variant, row["metric"]][seed] = row["value"]
    return {key: METRICS[key[2]][1] * np.array(list(found[key].values())) for key in found}


def spread(values: np.ndarray) -> float:
    """The standard deviation between seeds; 0 for one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def welch(one: np.ndarray, two: np.ndarray) -> str:
    """The p of Welch's two-sided t-test; – with fewer than two values each."""
    if min(len(one), len(two)) < 2:
        return "–"
    p = float(ttest_ind(one, two, equal_var=False).pvalue)
    return f"{p:.3f}".removeprefix("0") if p >= 0.001 else "< .001"


def table(found: dict[tuple[str, str, str], np.ndarray], kind: str, metrics: list[str]) -> str:
    """In Markdown, a row a metric: mean ± standard deviation (seeds), then, for each variant but
    the first, the p of its difference from the first."""
    first, *others = VARIANTS
    names = " | ".join([*VARIANTS.values(), *(f"p, {VARIANTS[name]}" for name in others)])
    rows = [
        f"| {KINDS[kind]} | {names} | better |",
        "|---" * (2 + len(VARIANTS) + len(others)) + "|",
    ]
    for metric in metrics:
        name, _, decimals, better = METRICS[metric]
        cells = []
        for variant in VARIANTS:
            x = found.get((kind, variant, metric), np.array([]))
            about = f" ± {spread(x):.{decimals}f}" if len(x) > 1 else ""
            cells.append(f"{x.mean():.{decimals}f}{about} ({len(x)})" if len(x) else "–")
        values = [found.get((kind, variant, metric), np.array([])) for variant in VARIANTS]
        cells += [welch(values[0], other) for other in values[1:]]
        rows.append(f"| {name} | {' | '.join(cells)} | {better} |")
    return "\n".join(rows)


def main() -> None:
    """Prints the tables and draws the plot."""
    found = read()
    shown = {
        kind: metrics
        for kind in KINDS
        if (metrics := [m for m in METRICS if any((kind, v, m) in found for v in VARIANTS)])
    }
    rows = [-(-len(metrics) // COLUMNS) for metrics in shown.values()]
    figure = Figure(figsize=(1.9 * COLUMNS, 2.1 * sum(rows)), layout="constrained")
    parts = np.atleast_1d(figure.subfigures(len(shown), height_ratios=rows))
    for kind, lines, part in zip(shown, rows, parts, strict=True):
        print(f"\n{table(found, kind, shown[kind])}")
        part.suptitle(KINDS[kind], fontsize=10)
        axes = part.subplots(lines, COLUMNS, squeeze=False).flat
        for metric, axis in itertools.zip_longest(shown[kind], axes):
            if metric is None:
                axis.axis("off")
                continue
            name, _, _, better = METRICS[metric]
            for place, variant in enumerate(VARIANTS):
                x = found.get((kind, variant, metric), np.array([]))
                if len(x):
                    axis.plot([place] * len(x), x, "o", color="0.6", markersize=3)
                    axis.errorbar([place], [x.mean()], [spread(x)], fmt="_", capsize=4, color="C0")
            axis.set_title(f"{name} {'↑' if better == 'higher' else '↓'}", fontsize=8)
            axis.set_xticks(range(len(VARIANTS)), list(VARIANTS), fontsize=7)
            axis.tick_params(axis="y", labelsize=7)
            axis.set_xlim(-0.5, len(VARIANTS) - 0.5)
    figure.savefig(HERE.parent / "pictures" / "ablations.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
