"""Splits MNIST's training digits as the authors' preparation script does: shuffled with seed 0,
50,000 to train and 10,000 to test. The official test digits are not used.

python docs/results/mnist_split.py mnist mnist_split   # folders of files in MNIST's format
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

from alae_tf.data import open_source


def write(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes the pair of files of a part, "train" or "t10k"."""
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = np.array([0x0800 + array.ndim, *array.shape], ">u4").tobytes()
        (folder / f"{part}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def main(source: str, target: str) -> None:
    """Writes the four files of the split of `idx:source` into `target`."""
    digits = open_source(f"idx:{source}")
    order = list(range(len(digits)))
    random.Random(0).shuffle(order)
    images = np.stack([digits.image(i)[..., 0] for i in order])
    labels = digits.labels[order]
    Path(target).mkdir(parents=True, exist_ok=True)
    write(Path(target), "train", images[:50_000], labels[:50_000])
    write(Path(target), "t10k", images[50_000:], labels[50_000:])


if __name__ == "__main__":
    main(*sys.argv[1:])
