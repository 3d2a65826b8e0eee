"""Measures training, by the loop that trains, and batch-1 latencies at one level.

python -m alae_tf.benchmark --flagfile=configs/celeba128.cfg --level=3 --batch=16
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from alae_tf import flags as config_flags
from alae_tf import quiet
from alae_tf.config import Config, ConfigError
from alae_tf.timing import matmul_gflops, median_seconds

if TYPE_CHECKING:
    from alae_tf.data import Source

SECONDS = 10.0  # to measure, at least
LEAST = 5  # iterations to measure, at least
WARM_UP_SECONDS = 2.0
LONG = 1e6  # epochs: no level ends while it is measured


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
        0,
        "Iterations to measure (with --r1_every=k: rounded up to a multiple of k), after some to "
        f"warm up; 0: as many as take {SECONDS:g} seconds, {LEAST} at least.",
    )
    flags.DEFINE_string("json", None, "Write the result here too.")


def measure(config: Config, level: int, batch: int, iterations: int) -> dict[str, float]:
    """Measures the iterations of a training run, as it makes them; random images, blend 1.

    Args:
        config: of the run.
        level: at which.
        batch: images an iteration.
        iterations: to measure; 0: as many as take `SECONDS`.

    Returns:
        iteration_seconds and images_per_second (means), page_faults (an iteration's, without
        disk), peak_memory_mib (of GPU 0, or of this process), encode_ms and decode_ms (one image,
        float32, noise "const"), matmul_gflops.
    """
    import tensorflow as tf

    from alae_tf.autoencoder import Autoencoder
    from alae_tf.training.iterations import Iterations
    from alae_tf.training.strategy import make_strategy

    config = config.replace(batch_by_level=(batch,), epochs=config.levels * LONG)
    if config.levels > 1:
        config = config.replace(epochs_by_level=(LONG,))
    strategy = make_strategy(config)  # before any other use of TensorFlow
    gflops = matmul_gflops()
    source = noise(2 * batch, config.level_resolution(level), config.image_channels)
    run = Iterations(config, source, strategy)
    run.images_seen = run.growth.faded_in(level)
    run.enter_level(level)

    def go(least: int, least_seconds: float) -> tuple[int, float]:
        """Iterations made and seconds taken; whole rounds of --r1_every."""
        begun, done, seconds = time.perf_counter(), 0, 0.0
        while done < least or seconds < least_seconds:
            for _ in range(config.r1_every):
                run.take()
            run.means.settle()
            done, seconds = done + config.r1_every, time.perf_counter() - begun
        return done, seconds

    go(2 * config.r1_every, WARM_UP_SECONDS)
    faults = page_faults()
    count, seconds = go(iterations or LEAST, 0.0 if iterations else SECONDS)
    faults = page_faults() - faults
    gpus = tf.config.list_logical_devices("GPU")
    peak = (
        tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        if gpus
        else usage().ru_maxrss / 2**10
    )
    model = Autoencoder(config, run.trainer.ema, level)
    one = source.image(0)
    w = model.encode(one)
    model.decode(w)
    return {
        "iteration_seconds": seconds / count,
        "images_per_second": batch * count / seconds,
        "page_faults": faults / count,
        "peak_memory_mib": peak,
        "encode_ms": 1e3 * median_seconds(lambda: model.encode(one), 11),
        "decode_ms": 1e3 * median_seconds(lambda: model.decode(w), 11),
        "matmul_gflops": gflops,
    }


def noise(size: int, resolution: int, channels: int) -> Source:
    """A source of random images that fit already, in memory."""
    import numpy as np

    from alae_tf.data import Source

    shape = (size, resolution, resolution, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    class Noise(Source):
        uri, channels = "noise", shape[-1]

        def __len__(self) -> int:
            return size

        def image(self, index: int) -> np.ndarray:
            return images[index]

    return Noise()


def page_faults() -> int:
    """Pages of memory that this process has had mapped so far, those read from disk not counted."""
    return usage().ru_minflt


def usage():
    """What the system counts of this process."""

    return resource.getrusage(resource.RUSAGE_SELF)


def in_a_process(level: int) -> dict[str, float]:
    """The result of this command at one level, which it prints too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "alae_tf.benchmark", *sys.argv[1:]]
        done = subprocess.run([*command, f"--level={level}", f"--json={path}"])
        if done.returncode:
            raise ConfigError(f"--level=all: level {level} failed.")
        return json.loads(path.read_text(encoding="utf-8"))


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
    if values.iterations < 0:
        raise ConfigError(f"--iterations={values.iterations}: must be 0 or more.")
    if values.json and not Path(values.json).resolve().parent.is_dir():
        raise ConfigError(f"--json={values.json}: its directory does not exist.")
    if values.json and Path(values.json).is_dir():
        raise ConfigError(f"--json={values.json}: is a directory; name a file.")
    if values.level == "all":
        results = {str(level): in_a_process(level) for level in range(config.levels)}
        if values.json:
            Path(values.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        return
    quiet.import_tensorflow()
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
        Path(values.json).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    define_flags()
    config_flags.run("benchmark", main)
