"""Trains ALAE, and tells how well E's features tell classes apart.

    python -m alae_tf.train --flagfile=configs/quickstart.cfg
    python -m alae_tf.train --flagfile=configs/celeba128.cfg --data=folder:/data/faces

A run lives in its --run_dir; the same command again goes on where it stopped.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from absl import flags

from alae_tf import data, quiet
from alae_tf import flags as config_flags
from alae_tf.config import ConfigError
from alae_tf.evaluation import registry
from alae_tf.runs.directory import RunDirectory, check_init_from, list_checkpoints

if TYPE_CHECKING:
    from alae_tf.autoencoder import Autoencoder
    from alae_tf.data import Source
    from alae_tf.training.loop import Measure


def define_flags() -> None:
    """The flags of this command."""
    config_flags.define_config_flags()
    flags.DEFINE_string("run_dir", None, "Where the run lives; made if it is not there. Required.")
    flags.DEFINE_enum(
        "resume",
        "auto",
        ["auto", "never", "must"],
        "auto: go on with the run in --run_dir, or start one; never: only start; must: only go on.",
    )


def main() -> int:
    """Checks everything that can be checked without TensorFlow, then trains."""
    config = config_flags.read_config()
    if not flags.FLAGS.run_dir:
        raise ConfigError("--run_dir: say where the run is to live, as --run_dir=runs/mine.")
    directory = RunDirectory(flags.FLAGS.run_dir)
    # Of several workers the chief may have begun already: it checks for all.
    if config.strategy != "multi_worker" and "TF_CONFIG" not in os.environ:
        directory.check(config, flags.FLAGS.resume)
    if not list_checkpoints(directory.path):  # else the run goes on from its own
        check_init_from(config)
    data.check(config.data)
    metrics = registry.check_names(config.evaluate_metrics.split(","), "--evaluate_metrics")

    quiet.import_tensorflow()
    from alae_tf.evaluation import results
    from alae_tf.evaluation.representation import summary
    from alae_tf.evaluation.samples import Protocol
    from alae_tf.training.loop import WarnOnce, train

    warn_once = WarnOnce()

    def finished(model: Autoencoder, source: Source) -> None:
        line = summary(model, source)
        if line is not None:
            print(f"train: {line}")

    def make_measure(source: Source) -> tuple[Measure, list[str]]:
        """Checks that the metrics can be had of these images."""
        protocol = Protocol("test" if source.held_out else "train", config.evaluate_count)
        networks = registry.open_networks(metrics, source, protocol, config.resolution)
        about = {"run_dir": str(directory.path), "weights": "ema"}

        def measure(model: Autoencoder) -> dict[str, float]:
            found = registry.evaluate(
                model, source, metrics, protocol, networks, about, failed=warn_once
            )
            try:
                for result in found:
                    results.append(directory.path / results.FILE, result)
            except OSError as error:
                warn_once(results.FILE, error)
            return {result.metric: result.value for result in found}

        return measure, registry.value_names(metrics)

    return train(config, directory, flags.FLAGS.resume, finished, make_measure)


if __name__ == "__main__":
    define_flags()
    config_flags.run("train", main)
