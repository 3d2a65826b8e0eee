"""Training that a dashboard watches: Weights & Biases, or MLflow.

    pip install wandb
    python examples/dashboards.py wandb --flagfile=configs/quickstart.cfg --run_dir=runs/watched

Neither is a dependency of the project. A service that is away does not stop the run.
"""

from __future__ import annotations

import sys

import numpy as np

from alae_tf import quiet
from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory


def wandb(row: dict[str, float] | None, grid: np.ndarray | None) -> None:
    """Each row, and each sample grid, to Weights & Biases."""
    import wandb

    if wandb.run is None:
        wandb.init(project="alae")
    if row is not None:
        wandb.log(row, step=int(row["images_seen"]))
    if grid is not None:
        wandb.log({"samples": wandb.Image(grid)})


def mlflow(row: dict[str, float] | None, grid: np.ndarray | None) -> None:
    """The same to MLflow."""
    import mlflow

    if row is not None:
        mlflow.log_metrics(row, step=int(row["images_seen"]))
    if grid is not None:
        mlflow.log_image(grid, key="samples")


def main(service: str, flagfile: str, run_dir: str) -> int:
    """Trains a config, told to a service."""
    quiet.import_tensorflow()
    from alae_tf.training.loop import train

    callback = {"wandb": wandb, "mlflow": mlflow}[service]
    return train(Config.load(flagfile), RunDirectory(run_dir), callbacks=[callback])


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("wandb", "mlflow"):
        sys.exit(__doc__)
    flags = dict(text.removeprefix("--").split("=", 1) for text in sys.argv[2:])
    sys.exit(main(sys.argv[1], flags["flagfile"], flags["run_dir"]))
