"""Must E be part of the discriminator? Trains one cell of the trial in docs/results.md.

python docs/results/encoder_trial.py digits joint 0 --data=idx:mnist --run_dir=runs/trial_joint_0

The arguments are the kind of images, the cell, the seed, and further flags of `alae_tf.train`.
In every cell except `once`, two updates of an iteration move E, and three with update 4. In cells
with a separate D, update 1 does not move E; a second update 3 does, with a new z and without G.
"""

from __future__ import annotations

import sys

from alae_tf import train
from alae_tf.training import algorithm

KINDS = {
    "digits": [
        "--flagfile=configs/mnist_style_small.cfg",
        "--levels=3",
        "--epochs=1.75",
        "--epochs_by_level=.25,.5,1",
        "--ema_images=5000",
        "--precision=float32",
    ],
    "faces": [
        "--flagfile=configs/faces64_small.cfg",
        "--levels=4",
        "--epochs=14",
        "--epochs_by_level=1,2,4,7",
        "--ema_images=5000",
        "--precision=float32",
    ],
}
SEPARATE, RECONSTRUCTION = "--discriminator=separate", "--reconstruction=8"
CELLS = {
    "joint": [],
    "once": [SEPARATE],
    "separate": [SEPARATE],
    "readout": [SEPARATE, "--encoder_head=readout"],
    "separate_4": [SEPARATE, RECONSTRUCTION],
    "joint_4": [RECONSTRUCTION],
    "separate_4g": [SEPARATE, RECONSTRUCTION, "--reconstruction_update=EG"],
    "joint_4g": [RECONSTRUCTION, "--reconstruction_update=EG"],
    "joint_4e": [RECONSTRUCTION, "--reconstruction_distance=encoder"],
}

AGAIN = algorithm.Update(
    "latent_e",
    "3 again, E alone",
    algorithm.loss_latent,
    moves=lambda config: "E",
    mixes=False,
)


def main(kind: str, cell: str, seed: str, *flags: str) -> int:
    """Trains a cell; returns the exit code of `alae_tf.train`."""
    algorithm.UPDATES.append(AGAIN)
    again = [] if SEPARATE not in CELLS[cell] or cell == "once" else ["latent_e"]
    updates = ",".join(["d", "g", "latent", *again])
    settings = [*KINDS[kind], *CELLS[cell], f"--updates={updates}", f"--seed={seed}"]
    return train.main([*settings, *flags])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
