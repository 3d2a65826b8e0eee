"""Trains an ALAE, and reports how well E's codes separate the classes of labelled images.

    python -m alae_tf.train --flagfile=configs/quickstart.cfg --run_dir=runs/quickstart
    python -m alae_tf.train --flagfile=configs/celeba128.cfg --data=folder:/data/faces

All files of a run are in --run_dir. Repeat the command to continue an interrupted run.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alae_tf import data
from alae_tf.config import ConfigError, flags
from alae_tf.evaluation import registry
from alae_tf.runs.directory import RunDirectory
from alae_tf.runs.init_from import check_init_from
from alae_tf.system import quiet
from alae_tf.system.arguments import path_or_url
from alae_tf.system.environment import command, start
from alae_tf.system.errors import WarnOnce, report

if TYPE_CHECKING:
    from alae_tf.data import Source
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.training.quality import Measure


@command("train")
def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: see `training.loop.train`; 2 for a wrong flag or setting."""
    parser = flags.Parser("alae_tf.train", __doc__)
    about = "directory of the run, created if missing, or its URL (s3://, gs://, …)"
    parser.flag("--run_dir", about, "DIR|URL", type=path_or_url, required=True)
    about = "auto: continue the run in --run_dir if it exists, else start it; never: only start; "
    about += "must: only continue"
    parser.flag("--resume", about, choices=("auto", "never", "must"), default="auto")
    own, config = parser.parse(arguments)
    # First everything that can be checked without TensorFlow.
    if not own.run_dir:
        raise ConfigError("--run_dir=: name the directory of the run, for example runs/mine.")
    directory = RunDirectory(own.run_dir)
    # With several workers, the chief checks; it may already have written into the directory.
    if config.strategy != "multi_worker" and "TF_CONFIG" not in os.environ:
        directory.fetch()
        directory.check(config, own.resume)
    if not directory.begun:  # a run with checkpoints continues from its own
        check_init_from(config)
    data.check(config.data)
    metrics = []
    if config.evaluate_metrics != "none":
        metrics = registry.check_names(config.evaluate_metrics.split(","), "--evaluate_metrics")

    quiet.import_tensorflow()
    from alae_tf.evaluation.representation import summary
    from alae_tf.evaluation.samples import Protocol
    from alae_tf.runs import results
    from alae_tf.training.loop import train

    warn_once = WarnOnce("train", "training continues")

    def finished(model: Autoencoder, source: Source) -> None:
        if line := summary(model, source):
            print(f"train: {line}")

    def make_measure(source: Source) -> tuple[Measure, dict[str, str]] | None:
        """Checks that the metrics can be measured on these images. With --evaluate_images=0, what
        is missing is reported, and None is returned: training continues without measurements."""
        split, count = "test" if source.held_out else "train", config.evaluate_count
        protocol = Protocol(split, count, generated=count)  # of few real images, all are used
        networks = functools.cache(
            lambda: registry.open_networks(metrics, source, protocol, config.resolution)
        )
        if config.evaluate_images > 0:
            networks()
        elif lacking := registry.lacking(metrics, source, protocol):
            report("train", f"--evaluate_metrics={','.join(metrics)}: not measured. {lacking}")
            return None
        about = {"run_dir": directory.given, "weights": "ema"}

        def measure(model: Autoencoder) -> dict[str, float]:
            how = protocol, networks(), about
            found = registry.evaluate(model, source, metrics, *how, failed=warn_once)
            try:
                for result in found:
                    results.append(directory.path / results.FILE, result)
            except OSError as error:
                warn_once(results.FILE, error)
            return {result.metric: result.value for result in found}

        return measure, registry.value_names(metrics)

    return train(config, directory, own.resume, finished, make_measure if metrics else None)


if __name__ == "__main__":
    sys.exit(start(main))
