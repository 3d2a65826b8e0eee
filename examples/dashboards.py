"""Trains a model and logs to a dashboard: Weights & Biases or MLflow.

    pip install wandb
    python examples/dashboards.py wandb --flagfile=configs/quickstart.cfg --run_dir=runs/watched

Neither service is a dependency of alae_tf. If one is unreachable, training continues.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np

from alae_tf.config import Config
from alae_tf.runs.directory import RunDirectory
from alae_tf.system import quiet
from alae_tf.system.errors import guarded


def wandb(row: dict[str, float] | None, grid: np.ndarray | None) -> None:
    """Logs a row of metrics.csv, a sample grid, or both to Weights & Biases."""
    import wandb

    if wandb.run is None:
        wandb.init(project="alae")
    if row is not None:
        wandb.log(row, step=int(row["images_seen"]))
    if grid is not None:
        wandb.log({"samples": wandb.Image(grid)})


def mlflow(row: dict[str, float] | None, grid: np.ndarray | None) -> None:
    """Logs a row of metrics.csv, a sample grid, or both to MLflow."""
    import mlflow

    if row is not None:
        mlflow.log_metrics(row, step=int(row["images_seen"]))
    if grid is not None:
        mlflow.log_image(grid, key="samples")


def main(service: str, flagfile: str, run_dir: str) -> int:
    """Trains a config and logs to a service; returns the exit code."""
    config = Config.load(Path(flagfile))  # reports a wrong config before any work
    quiet.import_tensorflow()
    from alae_tf.training.loop import train

    return train(config, RunDirectory(run_dir), callbacks=[SERVICES[service]])


SERVICES = {"wandb": wandb, "mlflow": mlflow}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("service", choices=sorted(SERVICES))
    parser.add_argument(
        "--flagfile", required=True, help="config to train, for example configs/quickstart.cfg"
    )
    parser.add_argument("--run_dir", required=True, help="directory of the run")
    args = parser.parse_args()
    if importlib.util.find_spec(args.service) is None:
        parser.error(f"{args.service} is not installed: pip install {args.service}")
    sys.exit(guarded("dashboards", lambda: main(args.service, args.flagfile, args.run_dir)))
