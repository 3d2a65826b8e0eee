"""Measures the speed of training, and the latency of encoding and decoding one image.

python -m alae_tf.benchmark --flagfile=configs/celeba128.cfg --level=3 --batch=16
"""

import functools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from alae_tf.config import Config, ConfigError, flags
from alae_tf.system import quiet
from alae_tf.system.arguments import between, local
from alae_tf.system.environment import command, start
from alae_tf.system.files import check_output, temporary_folder, write_atomic
from alae_tf.system.schema import finite
from alae_tf.system.timing import matmul_gflops, median_seconds

SECONDS = 10.0  # least time to measure
LEAST = 5  # least iterations to measure
WARM_UP_SECONDS = 2.0
LONG = 1e6  # epochs; no level ends during the measurement


def measure(config: Config, level: int, batch: int, iterations: int) -> dict[str, float]:
    """Measures a training run's own iterations, on random images, at blend 1. `iterations` is their
    number; 0: as many as take `SECONDS`.

    Returns:
        iteration_seconds and images_per_second (means), page_faults (of an iteration, not counting
        reads from disk; the median, since memory still grows in the first ones), peak_memory_mib
        (of GPU 0, or of this process), encode_ms and decode_ms (one image, float32, noise "const"),
        matmul_gflops.
    """
    import numpy as np
    import tensorflow as tf

    from alae_tf.data.arrays import ArraySource
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.training.progress import Progress
    from alae_tf.training.strategy import make_strategy

    usage = functools.partial(resource.getrusage, resource.RUSAGE_SELF)
    config = config.replace(batch_by_level=(batch,), epochs=config.levels * LONG)
    if config.levels > 1:
        config = config.replace(epochs_by_level=(LONG,))
    strategy = make_strategy(config)  # before any other use of TensorFlow
    gflops = matmul_gflops()
    side = config.level_resolution(level)
    shape = (2 * batch, side, side, config.image_channels)
    source = ArraySource("noise", np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    run = Progress(config, source, strategy)
    run.images_seen = run.growth.faded_in(level)
    run.enter_level(level)

    def go(least: int, least_seconds: float) -> tuple[float, float]:
        """Runs whole rounds of --r1_every; returns seconds and page faults of an iteration."""
        begun, done, seconds = time.perf_counter(), 0, 0.0
        faults = [usage().ru_minflt]
        while done < least or seconds < least_seconds:
            for _ in range(config.r1_every):
                run.take()
            run.means.settle()
            done, seconds = done + config.r1_every, time.perf_counter() - begun
            faults.append(usage().ru_minflt)
        return seconds / done, float(np.median(np.diff(faults))) / config.r1_every

    go(2 * config.r1_every, WARM_UP_SECONDS)
    seconds, faults = go(iterations or LEAST, 0.0 if iterations else SECONDS)
    gpus = tf.config.list_logical_devices("GPU")
    memory = tf.config.experimental.get_memory_info
    peak = memory("GPU:0")["peak"] / 2**20 if gpus else usage().ru_maxrss / 2**10
    model = Autoencoder(config, run.trainer.ema, level)
    one = source.image(0)
    w = model.encode(one)
    model.decode(w)
    return {
        "iteration_seconds": seconds,
        "images_per_second": batch / seconds,
        "page_faults": faults,
        "peak_memory_mib": peak,
        "encode_ms": 1e3 * median_seconds(lambda: model.encode(one), 11),
        "decode_ms": 1e3 * median_seconds(lambda: model.decode(w), 11),
        "matmul_gflops": gflops,
    }


def in_a_process(level: int, given: Sequence[str]) -> dict[str, float]:
    """Runs this command at one level in a new process, which has a peak memory of its own."""
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        path = folder / "result.json"
        flags = [*given, f"--level={level}", f"--json={path}"]
        done = subprocess.run([sys.executable, "-m", "alae_tf.benchmark", *flags])
        if done.returncode:
            raise ConfigError(f"--level=all: level {level} failed.")
        return json.loads(path.read_text(encoding="utf-8"))


@command("benchmark")
def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 2 a wrong flag or setting."""
    parser = flags.Parser("alae_tf.benchmark", __doc__)
    about = "level to measure; all: each level, in its own process, to measure its peak memory"
    parser.flag("--level", about, "N|all", absent="the top level")
    usual = "from --batch_by_level"
    parser.flag("--batch", "images per iteration", "N", type=between(1, 2**20), absent=usual)
    about = "iterations to measure after a warm-up, rounded up to a multiple of --r1_every; 0: as "
    about += f"many as take {SECONDS:g} seconds, at least {LEAST}"
    parser.flag("--iterations", about, "N", type=between(0, 10**9), default=0)
    parser.flag("--json", "also write the results to this file", "FILE", type=local)
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, config = parser.parse(given)
    if own.level not in (None, "all", *map(str, range(config.levels))):
        raise ConfigError(f"--level={own.level}: must be 0 to {config.levels - 1}, or all.")
    if own.json:
        check_output("--json", own.json, overwrite=True)
    if own.level == "all":
        result = {str(level): in_a_process(level, given) for level in range(config.levels)}
    else:
        quiet.import_tensorflow()
        import tensorflow as tf

        level = int(own.level or config.levels - 1)
        batch = own.batch or config.batch_size(level)
        try:
            result = measure(config, level, batch, own.iterations)
        except tf.errors.ResourceExhaustedError as error:
            why = f"out of memory; try a smaller one ({str(error).splitlines()[0]})"
            raise ConfigError(f"--batch={batch}: {why}.") from None
        print(f"level {level} ({config.level_resolution(level)} px), batch {batch}")
        for name, value in result.items():
            print(f"{name:>20}  {value:.4g}")
    if own.json:
        write_atomic(own.json, f"{json.dumps(finite(result), indent=2)}\n".encode())


if __name__ == "__main__":
    sys.exit(start(main))
