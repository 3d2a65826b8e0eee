"""Trains five small runs, one that goes well and four that fail on purpose, and draws
docs/pictures/health.png.

python docs/results/health.py runs/health   # minutes on two cores; finished runs are only drawn
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from alae_tf.config import Config
from alae_tf.data import open_source
from alae_tf.images.picture import png
from alae_tf.runs.directory import RunDirectory
from alae_tf.training.health import history_of
from alae_tf.training.loop import train

PICTURE = Path(__file__).parents[1] / "pictures" / "health.png"
DIGITS = Config(
    architecture="mlp",
    levels=1,
    hidden_size=256,
    latent_size=32,
    mapping_layers=4,
    flip=False,
    epochs=6,
    batch_by_level=(64,),
    learning_rate_by_level=(0.012,),
    truncation_psi=1.0,
    ema_images=3000,
    sample_images=1500,
    log_images=1500,
)
STYLE = Config(
    levels=2,
    start_channels=8,
    max_channels=8,
    latent_size=16,
    mapping_layers=2,
    flip=False,
    epochs=0.7,
    epochs_by_level=(0.01,),
    batch_by_level=(16,),
    ema_images=300,
    sample_images=400,
    log_images=400,
)
RUNS = {
    "well": DIGITS,
    "collapsed": STYLE.replace(r1_gamma=1e5),
    "overfitting": DIGITS.replace(r1_gamma=0.0, epochs=500),  # on 50 digits
    "diverging": DIGITS.replace(r1_gamma=0.0, learning_rate_by_level=(2.0,)),
    "EMA too slow": DIGITS.replace(ema_images=200_000),
}
CURVES = {
    "spread of images": {"variety": "generated", "dependence": "reconstructed"},
    "D's logits": {
        "logit_train": "training",
        "logit_test": "held-out",
        "logit_generated": "generated",
    },
    "gradients": {f"gradient_{letter}": letter for letter in "EDFG"},
}


def few_digits(folder: Path) -> str:
    """50 digits to train with and 500 others held out, as image files; returns their URI."""
    source = open_source("mnist5k:")
    for part, images, count in (("train", source, 50), ("test", source.held_out, 500)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (folder / part / f"{i}.png").write_bytes(png(images.image(i * len(images) // count)))
    return f"folder:{folder}/train?test={folder}/test&channels=1"


def main(folder: Path) -> None:
    """Trains what is not trained yet, and draws all runs."""
    figure = Figure(figsize=(3 * len(RUNS), 11), layout="constrained")
    axes = figure.subplots(1 + len(CURVES), len(RUNS), height_ratios=[1.4, 1, 1, 1])
    few = few_digits(folder / "digits")
    for column, (name, config) in zip(axes.T, RUNS.items(), strict=True):
        directory = RunDirectory(folder / name.replace(" ", "_"))
        if not (directory.path / "report.html").exists():
            uri = few if name == "overfitting" else "mnist5k:"
            train(config.replace(data=uri), directory)
        grid = np.asarray(Image.open(max(directory.samples.glob("*.png"))))
        column[0].imshow(grid[:, : 150 + 66 * 4])
        column[0].set(title=name, xticks=[], yticks=[])
        history = history_of(directory.metrics.rows())
        seen = [each["images_seen"] for each in history]
        for axis, (title, lines) in zip(column[1:], CURVES.items(), strict=True):
            for quantity, label in lines.items():
                axis.plot(seen, [each[quantity] for each in history], label=label)
            axis.set(title=title, xlabel="images seen")
            if title == "gradients":
                axis.set_yscale("log")
            axis.legend(fontsize="small")
    figure.savefig(PICTURE, dpi=70)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
