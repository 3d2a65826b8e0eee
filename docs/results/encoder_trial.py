"""Whether E must be part of the discriminator: trains and measures the cells of the trial in
docs/results.md.

python docs/results/encoder_trial.py train digits joint 0 --data=idx:mnist --run_dir=runs/joint_0
python docs/results/encoder_trial.py evaluate --run_dir=runs/joint_0 --metrics=judge

After `train` come the kind of images, the cell, the seed, and further flags of `alae_tf.train`;
`evaluate` takes the flags of `alae_tf.evaluate`. In each iteration, two updates move E, or three
with update 4. In cells with a separate D, update 1 does not move E; another update 3 does, with a z
of its own and without G, before update 3. (After update 3, some runs failed.) The metric
`judge` is the accuracy of 1-NN and of a linear SVM on D's own features.
"""

from __future__ import annotations

import sys
import typing

from alae_tf import evaluate, train
from alae_tf.evaluation.registry import HIGHER, METRICS, Metric
from alae_tf.training import algorithm

if typing.TYPE_CHECKING:
    from alae_tf.evaluation.samples import Samples

KINDS = {
    "digits": [
        "--flagfile=configs/mnist_style_small.cfg",
        "--levels=3",
        "--epochs=3",
        "--epochs_by_level=.25,.5,2.25",
        "--ema_images=5000",
        "--precision=float32",
        "--evaluate_metrics=fd_digits,code_gap,same_digit",
        "--evaluate_images=45000",
        "--evaluate_count=2000",
    ],
    "faces": [
        "--flagfile=configs/faces64_small.cfg",
        "--levels=4",
        "--max_channels=64",
        "--latent_size=64",
        "--epochs=16",
        "--epochs_by_level=.5,1.5,4,10",
        "--ema_images=10000",
        "--precision=float32",
        "--evaluate_metrics=code_gap",
        "--evaluate_images=30000",
        "--evaluate_count=972",
    ],
}
SEPARATE, RECONSTRUCTION = "--discriminator=separate", "--reconstruction=8"
CELLS = {
    "joint": [],
    "separate": [SEPARATE],
    "readout": [SEPARATE, "--encoder_head=readout"],
    "separate_4": [SEPARATE, RECONSTRUCTION],
    "joint_4": [RECONSTRUCTION],
    "separate_4g": [SEPARATE, RECONSTRUCTION, "--reconstruction_update=EG"],
    "joint_4g": [RECONSTRUCTION, "--reconstruction_update=EG"],
    "joint_4e": [RECONSTRUCTION, "--reconstruction_distance=encoder"],
}

# Learning rate and R1: of (.012, .5), (.006, .5) and (.006, .125), the pair with the smallest sum
# of the two Fréchet distances after 60,000 images at up to 16 px, with --seed=9. (Digits:
# --epochs=1 --epochs_by_level=.25,.25,.5; faces: --epochs=5 --epochs_by_level=.5,1.5,3, so not yet
# at 32 px.) encoder_tuning.jsonl has all values; for digits and cells with a separate D, those of
# runs/tune2_*. (In runs/tune_digits_* of these cells, the further update came after update 3.)
TUNED = {
    "digits": {
        "joint": (".012", ".5"),
        "separate": (".012", ".5"),
        "readout": (".012", ".5"),
        "separate_4": (".012", ".5"),
        "joint_4": (".006", ".125"),
        "separate_4g": (".006", ".5"),
        "joint_4g": (".006", ".125"),
        "joint_4e": (".006", ".125"),
    },
    "faces": {
        "joint": (".012", ".5"),
        "separate": (".006", ".125"),
        "readout": (".006", ".125"),
        "separate_4": (".006", ".125"),
        "joint_4": (".006", ".125"),
        "separate_4g": (".006", ".5"),
        "joint_4g": (".006", ".125"),
    },
}

FIRST = algorithm.Update(
    "latent_e",
    "3, E alone",
    algorithm.loss_latent,
    moves=lambda config: "E",
    mixes=False,
)


def judge(samples: Samples) -> dict[str, float]:
    """Accuracies in [0, 1] of 1-NN and of a linear SVM on the means and standard deviations of the
    feature maps of a separate D, on which the cell `readout` trains E."""
    import numpy as np
    import tensorflow as tf

    from alae_tf import data
    from alae_tf.evaluation.representation import nearest_neighbour_accuracy, svm_accuracy
    from alae_tf.networks import ops
    from alae_tf.networks.readout import Readout

    model, train, test = samples.model, samples.train, samples.test
    config = model.config
    names = ("levels", "start_channels", "max_channels", "latent_size", "image_channels")
    reader = Readout(**{name: getattr(config, name) for name in names})
    reader.attach(model.alae.D)
    features = tf.function(lambda x: reader.long_features(ops.to_unit(x), level=model.level))
    sets = []
    for source in (train, test):
        images = data.all_images(source, model.resolution)
        parts = np.array_split(images, -(-len(images) // 500))
        sets += [np.concatenate([features(part).numpy() for part in parts]), source.labels]
    return {"1nn": nearest_neighbour_accuracy(*sets), "svm": svm_accuracy(*sets)}


JUDGE = Metric(
    HIGHER,
    "1-NN and linear SVM on the features of a separate D",
    "encoder_trial:judge",
    labels=True,
    parts=("1nn", "svm"),
    fixed=(("split", "test"), ("images", 0)),
)


def main(command: str, *flags: str) -> int:
    """Trains or measures a cell; returns the exit code."""
    algorithm.UPDATES.append(FIRST)
    METRICS["judge"] = JUDGE
    if command == "evaluate":
        return evaluate.main([*flags])
    kind, cell, seed, *more = flags
    first = ["latent_e"] if SEPARATE in CELLS[cell] else []
    updates = ",".join(["d", "g", *first, "latent"])
    settings = [*KINDS[kind], *CELLS[cell], f"--updates={updates}", f"--seed={seed}"]
    rate, r1 = TUNED[kind][cell]
    settings += [f"--learning_rate_by_level={rate}", f"--r1_gamma={r1}"]
    return train.main([*settings, *more])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
