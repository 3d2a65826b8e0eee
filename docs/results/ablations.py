"""Makes the tables and the plot of docs/results.md from a file of results of variants and seeds.

`alae_tf.benchmark` writes the lines of speed, `alae_tf.evaluate` the others. Run directories are
named PREFIX_KIND_VARIANT_SEED.

python docs/results/ablations.py ablations       # or encoder_trial
"""

from __future__ import annotations

import collections
import itertools
import json
import sys
import typing
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import ttest_ind

HERE = Path(__file__).parent
COLUMNS = 6


class Comparison(typing.NamedTuple):
    """Variants, side by side."""

    kinds: dict[str, str]  # kind of model and images → its name for people
    variants: dict[str, str]
    pairs: list[tuple[str, str]]  # variants whose difference is tested


COMPARISONS = {
    "ablations": Comparison(
        {
            "mlp": "MLP-ALAE, MNIST, 10 epochs",
            "style": "StyleALAE, MNIST at 16 px, 3.5 epochs",
            "faces": "StyleALAE, faces at 32 px, 10 epochs",
        },
        {"joint": "joint, w", "separate": "separate, w", "z": "joint, z"},
        [("separate", "joint"), ("z", "joint")],
    ),
    "encoder_trial": Comparison(
        {
            "digits": "StyleALAE, MNIST at 16 px, 3 epochs",
            "faces": "StyleALAE, faces at 32 px, 16 epochs",
        },
        {
            "joint": "joint",
            "separate": "separate",
            "readout": "readout",
            "joint_4": "joint, 4",
            "separate_4": "separate, 4",
            "joint_4g": "joint, 4 with G",
            "separate_4g": "separate, 4 with G",
        },
        [
            ("separate", "joint"),
            ("readout", "separate"),
            ("joint_4", "joint"),
            ("separate_4", "separate"),
            ("separate_4", "joint_4"),
            ("separate_4g", "joint_4g"),
        ],
    ),
}
# Metric → (its name for people, factor, decimals, the better direction).
METRICS = {
    "representation/1nn_short": ("1-NN short, %", 100, 1, "higher"),
    "representation/svm_short": ("SVM short, %", 100, 1, "higher"),
    "representation/1nn_long": ("1-NN long, %", 100, 1, "higher"),
    "representation/svm_long": ("SVM long, %", 100, 1, "higher"),
    "judge/1nn": ("1-NN on D's features, %", 100, 1, "higher"),
    "judge/svm": ("SVM on D's features, %", 100, 1, "higher"),
    "same_digit": ("digit kept, %", 100, 1, "higher"),
    "fd_digits": ("fd_digits, generated", 1, 1, "lower"),
    "fd_digits_reconstruction": ("fd_digits, reconstructed", 1, 1, "lower"),
    "fd_lpips": ("fd_lpips, generated", 1, 1, "lower"),
    "fd_lpips_reconstruction": ("fd_lpips, reconstructed", 1, 1, "lower"),
    "kd_lpips": ("kd_lpips, generated", 1, 3, "lower"),
    "kd_lpips_reconstruction": ("kd_lpips, reconstructed", 1, 3, "lower"),
    "latent_cycle": ("latent cycle", 1, 2, "lower"),
    "code_gap/real_vs_generated": ("code gap, generated", 1, 2, "lower"),
    "code_gap/real_vs_w": ("code gap, w", 1, 2, "lower"),
    "identity/distance": ("identity, distance", 1, 3, "lower"),
    "identity/found": ("identity, found, %", 100, 1, "higher"),
    "lpips_reconstruction": ("LPIPS (VGG)", 1, 3, "lower"),
    "lpips_alex_reconstruction": ("LPIPS (AlexNet)", 1, 3, "lower"),
    "psnr": ("PSNR, dB", 1, 1, "higher"),
    "images_per_second": ("images/s in training", 1, 0, "higher"),
}
Found = dict[tuple[str, str, str], np.ndarray]


def read(name: str) -> Found:
    """(kind, variant, metric) → its values, one for each seed (speed: one for each round). Of
    several lines, the newest counts."""
    found: dict[tuple[str, str, str], dict[str, float]] = collections.defaultdict(dict)
    for line in (HERE / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        _, kind, *variant, seed = row["model"]["run_dir"].split("_")
        if row["metric"] in METRICS:
            found[kind, "_".join(variant), row["metric"]][seed] = row["value"]
    return {key: METRICS[key[2]][1] * np.array(list(found[key].values())) for key in found}


def spread(values: np.ndarray) -> float:
    """The standard deviation between seeds; 0 for one value."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def welch(one: np.ndarray, two: np.ndarray) -> str:
    """The p of Welch's two-sided t-test; – with fewer than two values each."""
    if min(len(one), len(two)) < 2:
        return "–"
    p = float(ttest_ind(one, two, equal_var=False)[1])
    return f"{p:.3f}".removeprefix("0") if p >= 0.001 else "< .001"


def tables(found: Found, compared: Comparison, kind: str, metrics: list[str]) -> str:
    """Two Markdown tables with a row for each metric: mean ± standard deviation (seeds) of the
    variants; p of the pairs."""
    nothing = np.array([])

    def cell(variant: str, metric: str) -> str:
        x, decimals = found.get((kind, variant, metric), nothing), METRICS[metric][2]
        about = f" ± {spread(x):.{decimals}f}" if len(x) > 1 else ""
        return f"{x.mean():.{decimals}f}{about} ({len(x)})" if len(x) else "–"

    def p(pair: tuple[str, str], metric: str) -> str:
        return welch(*(found.get((kind, variant, metric), nothing) for variant in pair))

    names = compared.variants
    tested = [f"{names[one]} / {names[two]}" for one, two in compared.pairs]
    values = [(METRICS[m][0], *(cell(v, m) for v in names), METRICS[m][3]) for m in metrics]
    ps = [(METRICS[m][0], *(p(pair, m) for pair in compared.pairs)) for m in metrics]
    parts = []
    for rows in (
        [(compared.kinds[kind], *names.values(), "better"), *values],
        [("p of the difference", *tested), *ps],
    ):
        head, *body = (f"| {' | '.join(row)} |" for row in rows)
        parts.append("\n".join([head, "|---" * len(rows[0]) + "|", *body]))
    return "\n\n".join(parts)


def main(name: str) -> None:
    """Prints the tables and draws the plot."""
    compared, found = COMPARISONS[name], read(name)
    shown = {
        kind: metrics
        for kind in compared.kinds
        if (
            metrics := [m for m in METRICS if any((kind, v, m) in found for v in compared.variants)]
        )
    }
    rows = [-(-len(metrics) // COLUMNS) for metrics in shown.values()]
    figure = Figure(figsize=(1.9 * COLUMNS, 2.1 * sum(rows)), layout="constrained")
    parts = figure.subfigures(len(shown), squeeze=False, height_ratios=rows).flat
    for kind, lines, part in zip(shown, rows, parts, strict=True):
        print(f"\n{tables(found, compared, kind, shown[kind])}")
        part.suptitle(compared.kinds[kind], fontsize=10)
        axes = part.subplots(lines, COLUMNS, squeeze=False).flat
        for metric, axis in itertools.zip_longest(shown[kind], axes):
            if metric is None:
                axis.axis("off")
                continue
            title, _, _, better = METRICS[metric]
            for place, variant in enumerate(compared.variants):
                x = found.get((kind, variant, metric), np.array([]))
                if len(x):
                    axis.plot([place] * len(x), x, "o", color="0.6", markersize=3)
                    axis.errorbar([place], [x.mean()], [spread(x)], fmt="_", capsize=4, color="C0")
            axis.set_title(f"{title} {'↑' if better == 'higher' else '↓'}", fontsize=8)
            turned = 90 if len(compared.variants) > 3 else 0
            axis.set_xticks(
                range(len(compared.variants)), list(compared.variants), fontsize=7, rotation=turned
            )
            axis.tick_params(axis="y", labelsize=7)
            axis.set_xlim(-0.5, len(compared.variants) - 0.5)
    figure.savefig(HERE.parent / "pictures" / f"{name}.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
