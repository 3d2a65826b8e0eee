"""Recipes for few images (docs/results.md, Few images): trains by one recipe, and measures it.

python docs/results/few_images.py lfw150 ada 0 --data='folder:lfw150?test=lfw128/test'
python docs/results/few_images.py faces finetune 0 --data='folder:faces?test=.3' --max_hours=.23

The name of the set, the recipe and the seed are followed by flags of alae_tf.train, --data among
them. The run is in runs/few_SET_RECIPE_SEED. It ends after IMAGES images, or at --max_hours if that
comes first; then the values are added to few_images.jsonl. All models are measured at 32 px: images
from models of a higher resolution are scaled down, and photographs are scaled up before such a
model encodes them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image

FILE = Path(__file__).with_suffix(".jsonl")
METRICS = ["fd_lpips", "recall", "precision", "lpips_alex_reconstruction", "psnr"]
SIZE = 32  # pixels
IMAGES = 400_000  # seen by each recipe, all levels together
GENERATED = 972  # for every set: as many as photographs are held out of lfw128
GROWTH = (0.075, 0.15, 0.25)  # shares of IMAGES that the levels up to 16 px get
SMALL = ["--flagfile=configs/own_images_small.cfg", "--ema_images=10000"]
AUTHORS = ["--learning_rate_by_level=.0015", "--r1_gamma=10", "--r1_every=1", "--style_mixing=.9"]
RECIPES = {
    "earlier": [*SMALL, *AUTHORS, "--batch_by_level=64,64,32,16"],
    "small": SMALL,
    "ada": [*SMALL, "--augment=ada", "--augment_images=100000"],
    "whole": [*SMALL, "--epochs_by_level=1e-6,1e-6,1e-6"],
    "finetune": ["--flagfile=configs/finetune_small.cfg"],
}


class At32:
    """A trained model whose images are averaged to 32 px; those it encodes are enlarged first."""

    resolution = SIZE

    def __init__(self, model):
        self._model = model
        for name in ("config", "level", "blend", "images_seen", "sample_w", "truncate"):
            setattr(self, name, getattr(model, name))

    def encode(self, images: np.ndarray, layers: bool = False) -> np.ndarray:
        """As `Autoencoder.encode`, for uint8 images."""
        return self._model.encode(resized(images, self._model.resolution), layers)

    def decode(self, *arguments, **named) -> np.ndarray:
        """As `Autoencoder.decode`, for uint8 images."""
        return resized(self._model.decode(*arguments, **named), SIZE)


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 images [N, size, size, C]."""
    if images.shape[1] == size:
        return images
    how = PIL.Image.Resampling.BOX if images.shape[1] > size else PIL.Image.Resampling.BICUBIC
    parts = [np.asarray(PIL.Image.fromarray(image).resize((size, size), how)) for image in images]
    return np.stack(parts)


def main(kind: str, recipe: str, seed: str, *given: str) -> None:
    """Trains, then measures."""
    from alae_tf import load_model
    from alae_tf.data import open_source
    from alae_tf.evaluation import registry
    from alae_tf.evaluation.samples import Protocol
    from alae_tf.runs import results

    uri = next(flag for flag in given if flag.startswith("--data=")).removeprefix("--data=")
    source, run_dir = open_source(uri), f"runs/few_{kind}_{recipe}_{seed}"
    flags = [*RECIPES[recipe], f"--seed={seed}", f"--run_dir={run_dir}", "--evaluate_metrics=none"]
    flags += [f"--epochs={IMAGES / len(source):g}"]
    if recipe not in ("whole", "finetune"):
        growth = ",".join(f"{share * IMAGES / len(source):g}" for share in GROWTH)
        flags += [f"--epochs_by_level={growth}"]
    ended = subprocess.run([sys.executable, "-m", "alae_tf.train", *flags, *given]).returncode
    assert ended in (0, 75), ended
    protocol = Protocol(images=len(source.held_out), generated=GENERATED)
    model = At32(load_model(run_dir))
    found = registry.evaluate(model, source, METRICS, protocol, about={"run_dir": run_dir})
    for result in found:
        results.append(FILE, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
