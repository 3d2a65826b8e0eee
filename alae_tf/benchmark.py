"""Measures the speed of training, and the latency of encoding and decoding one image.

python -m alae_tf.benchmark --flagfile=configs/celeba128.cfg --level=3 --batch=16
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alae_tf.config import Config, ConfigError, flags
from alae_tf.system import quiet
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded
from alae_tf.system.files import check_output, temporary_folder
from alae_tf.system.timing import matmul_gflops, median_seconds

if TYPE_CHECKING:
    from alae_tf.data import Source

SECONDS = 10.0  # least time to measure
LEAST = 5  # least iterations to measure
WARM_UP_SECONDS = 2.0
LONG = 1e6  # epochs; no level ends during the measurement


def measure(config: Config, level: int, batch: int, iterations: int) -> dict[str, float]:
    """Measures a training run's own iterations, on random images, at blend 1.

    Args:
        config: the run's.
        level: level to measure.
        batch: images per iteration.
        iterations: number to measure; 0: as many as take `SECONDS`.

    Returns:
        iteration_seconds and images_per_second (means), page_faults (per iteration, not counting
        reads from disk), peak_memory_mib (of GPU 0, or of this process), encode_ms and decode_ms
        (one image, float32, noise "const"), matmul_gflops.
    """
    import tensorflow as tf

    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.training.progress import Progress
    from alae_tf.training.strategy import make_strategy

    config = config.replace(batch_by_level=(batch,), epochs=config.levels * LONG)
    if config.levels > 1:
        config = config.replace(epochs_by_level=(LONG,))
    strategy = make_strategy(config)  # before any other use of TensorFlow
    gflops = matmul_gflops()
    source = noise(2 * batch, config.level_resolution(level), config.image_channels)
    run = Progress(config, source, strategy)
    run.images_seen = run.growth.faded_in(level)
    run.enter_level(level)

    def go(least: int, least_seconds: float) -> tuple[int, float]:
        """Runs whole rounds of --r1_every; returns the iterations and seconds."""
        begun, done, seconds = time.perf_counter(), 0, 0.0
        while done < least or seconds < least_seconds:
            for _ in range(config.r1_every):
                run.take()
            run.means.settle()
            done, seconds = done + config.r1_every, time.perf_counter() - begun
        return done, seconds

    go(2 * config.r1_every, WARM_UP_SECONDS)
    faults = usage().ru_minflt
    count, seconds = go(iterations or LEAST, 0.0 if iterations else SECONDS)
    faults = usage().ru_minflt - faults
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
    """A source of random images of the right size, in memory."""
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


def usage() -> resource.struct_rusage:
    """The system's counters for this process."""
    return resource.getrusage(resource.RUSAGE_SELF)


def in_a_process(level: int, given: Sequence[str]) -> dict[str, float]:
    """Runs this command at one level in a new process, for its own peak of memory."""
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        path = folder / "result.json"
        command = [sys.executable, "-m", "alae_tf.benchmark", *given]
        done = subprocess.run([*command, f"--level={level}", f"--json={path}"])
        if done.returncode:
            raise ConfigError(f"--level=all: level {level} failed.")
        return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 a wrong flag or setting."""
    parser = flags.parser("alae_tf.benchmark", __doc__)
    parser.add_argument(
        "--level",
        metavar="N|all",
        help="level to measure; all: every level, each in its own process, so that each has its "
        "own peak memory. Default: the top level",
    )
    parser.add_argument(
        "--batch",
        type=int,
        metavar="N",
        help="images per iteration. Default: from --batch_by_level",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=0,
        metavar="N",
        help="iterations to measure after a warm-up, rounded up to a multiple of --r1_every. "
        f"Default: 0: as many as take {SECONDS:g} seconds, at least {LEAST}",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write the results to this file. Default: none"
    )
    given = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        own, config = flags.parse(parser, given)
        show(config, own.level, own.batch, own.iterations, own.json, given)

    return guarded("benchmark", work)


def show(
    config: Config,
    level_text: str | None,
    batch: int | None,
    iterations: int,
    json_file: str | None,
    given: Sequence[str],
) -> None:
    """Measures one level or all, prints the results and writes them to a JSON file."""
    top = config.levels - 1
    if level_text not in (None, "all", *map(str, range(config.levels))):
        raise ConfigError(f"--level={level_text}: must be 0 to {top}, or all.")
    level = top if level_text in (None, "all") else int(level_text)
    batch = config.batch_size(level) if batch is None else batch
    if batch < 1:
        raise ConfigError(f"--batch={batch}: must be at least 1.")
    if iterations < 0:
        raise ConfigError(f"--iterations={iterations}: must be 0 or more.")
    if json_file:
        check_output("--json", Path(json_file), overwrite=True)
    if level_text == "all":
        results = {str(level): in_a_process(level, given) for level in range(config.levels)}
        if json_file:
            Path(json_file).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        return
    quiet.import_tensorflow()
    import tensorflow as tf

    try:
        result = measure(config, level, batch, iterations)
    except tf.errors.ResourceExhaustedError as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"--batch={batch}: out of memory; try a smaller one ({first}).") from None
    print(f"level {level} ({config.level_resolution(level)} px), batch {batch}")
    for name, value in result.items():
        print(f"{name:>20}  {value:.4g}")
    if json_file:
        Path(json_file).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(start(main))
