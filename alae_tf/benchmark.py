"""Measures whole training iterations and batch-1 latencies at one level.

python -m alae_tf.benchmark --flagfile=configs/celeba128.cfg --level=3 --batch=16
"""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

from alae_tf import flags as config_flags
from alae_tf.config import ConfigError

MATMUL_SIZE = 3000


def define_flags() -> None:
    """The flags of this command."""
    config_flags.define_config_flags()
    flags.DEFINE_string(
        "level",
        None,
        "Level to measure; default: the top one. all: every level, each in a process of its own, "
        "so that its peak memory is its own.",
    )
    flags.DEFINE_integer("batch", None, "Images an iteration; default: the config's at the level.")
    flags.DEFINE_integer(
        "iterations",
        5,
        "Times to measure an iteration (with --r1_every=k: k iterations), after two to warm up.",
    )
    flags.DEFINE_string("json", None, "Write the result here too.")


def median_seconds(call: Callable[[], object], times: int) -> float:
    """Median wall time of a call that returns when its work is done."""

    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return statistics.median(once() for _ in range(times))


def measure(config, level: int, batch: int, iterations: int) -> dict[str, float]:
    """Measures; random weights and images, blend 1.

    Returns:
        iteration_seconds, images_per_second, peak_memory_mib (of GPU 0, or of this process),
        encode_ms and decode_ms (one image, float32, noise "const"), matmul_gflops.
    """
    import numpy as np
    import tensorflow as tf

    from alae_tf.autoencoder import Autoencoder
    from alae_tf.training.step import UPDATES, Trainer
    from alae_tf.training.strategy import make_strategy

    config = config.replace(batch_by_level=(batch,))
    strategy = make_strategy(config)  # before any other use of TensorFlow
    matrix = tf.random.stateless_normal([MATMUL_SIZE] * 2, [0, 0])
    multiply = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    multiply().numpy()
    matmul_seconds = median_seconds(lambda: multiply().numpy(), 5)

    trainer = Trainer(config, strategy)
    trainer.set_learning_rate(level)
    side = config.level_resolution(level)
    shape = (batch, side, side, config.image_channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    dataset = tf.data.Dataset.from_tensors(images).repeat()
    pixels = next(iter(strategy.experimental_distribute_dataset(dataset)))

    starts = itertools.count(0, batch)  # of images seen, which --r1_every counts by

    def steps():  # all kinds of iteration once
        for _ in range(config.r1_every):
            losses = trainer.step(pixels, level, next(starts), 1.0)
        return [float(losses[name]) for name in UPDATES]

    for _ in range(2):
        steps()
    seconds = median_seconds(steps, iterations) / config.r1_every
    gpus = tf.config.list_logical_devices("GPU")
    peak = (
        tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        if gpus
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    )
    model = Autoencoder(config, trainer.ema, level)
    one = images[0]
    w = model.encode(one)
    model.decode(w)
    return {
        "iteration_seconds": seconds,
        "images_per_second": batch / seconds,
        "peak_memory_mib": peak,
        "encode_ms": 1e3 * median_seconds(lambda: model.encode(one), 11),
        "decode_ms": 1e3 * median_seconds(lambda: model.decode(w), 11),
        "matmul_gflops": 2e-9 * MATMUL_SIZE**3 / matmul_seconds,
    }


def in_a_process(level: int) -> dict[str, float]:
    """The result of this command at one level, which it prints too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "alae_tf.benchmark", *sys.argv[1:]]
        done = subprocess.run([*command, f"--level={level}", f"--json={path}"])
        if done.returncode:
            raise ConfigError(f"--level=all: level {level} failed.")
        return json.loads(path.read_text())


def main() -> None:
    """Prints the result, and writes it with --json."""
    config = config_flags.read_config()
    values = flags.FLAGS
    top = config.levels - 1
    if values.level not in (None, "all", *map(str, range(config.levels))):
        raise ConfigError(f"--level={values.level}: must be 0 to {top}, or all.")
    level = top if values.level in (None, "all") else int(values.level)
    batch = config.batch_size(level) if values.batch is None else values.batch
    if batch < 1:
        raise ConfigError(f"--batch={batch}: must be at least 1.")
    if values.iterations < 1:
        raise ConfigError(f"--iterations={values.iterations}: must be at least 1.")
    if values.json and not Path(values.json).resolve().parent.is_dir():
        raise ConfigError(f"--json={values.json}: its directory does not exist.")
    if values.json and Path(values.json).is_dir():
        raise ConfigError(f"--json={values.json}: is a directory; name a file.")
    if values.level == "all":
        results = {str(level): in_a_process(level) for level in range(config.levels)}
        if values.json:
            Path(values.json).write_text(json.dumps(results, indent=2) + "\n")
        return
    import tensorflow as tf

    try:
        result = measure(config, level, batch, values.iterations)
    except tf.errors.ResourceExhaustedError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"--batch={batch}: out of memory; try a smaller one ({first}).") from None
    print(f"level {level} ({config.level_resolution(level)} px), batch {batch}")
    for name, value in result.items():
        print(f"{name:>20}  {value:.4g}")
    if values.json:
        Path(values.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    define_flags()
    config_flags.run("benchmark", main)
