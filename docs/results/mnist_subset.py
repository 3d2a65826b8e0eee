"""Writes MNIST with only the first N training digits, for a quicker 1-NN and SVM.

python docs/results/mnist_subset.py mnist mnist10k 10000   # folders of files in MNIST's format
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from mnist_split import write

from alae_tf.data import open_source


def main(source: str, target: str, count: str) -> None:
    """Writes the first `count` training digits and all test digits of `idx:source`."""
    digits = open_source(f"idx:{source}")
    Path(target).mkdir(parents=True, exist_ok=True)
    for part, of, n in (("train", digits, int(count)), ("t10k", digits.held_out, None)):
        images = np.stack([of.image(i)[..., 0] for i in range(len(of))[:n]])
        write(Path(target), part, images, of.labels[:n])


if __name__ == "__main__":
    main(*sys.argv[1:])
