"""Compares the speed of the encoder and the decoder in Keras and in the exported formats."""

import functools
import itertools
import json
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from alae_tf.system.arguments import Arguments, output
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded
from alae_tf.system.files import temporary_folder, write_atomic
from alae_tf.system.quiet import import_tensorflow
from alae_tf.system.schema import finite

from . import registry
from .__main__ import add_formats_flag, add_model_flags
from .formats import File, Options, Runtime
from .keras import KerasModel
from .tflite import QUANTIZATIONS

THREADS = (1, 2)
BATCHES = (1, 8)
TIMES = 15  # calls, of which a latency is the median
# Networks → graphs of them that files may have → their inputs.
GRAPHS = {
    "encoder": {"encoder": "images", "encoder_uint8": "pixels", "encode": "images"},
    "decoder": {"decoder": "w", "decode": "w"},
}


def noise(model, batch: int) -> dict[str, Any]:
    """Random inputs of the graphs, by name: [batch, …]."""
    import numpy as np

    random, side, config = np.random.default_rng(0), model.resolution, model.config
    shape = (batch, side, side, config.image_channels)
    return {
        "images": random.standard_normal(shape, np.float32).clip(-1, 1),
        "pixels": random.integers(0, 256, shape, np.uint8),
        "w": random.standard_normal((batch, config.latent_size), np.float32),
    }


def measure(model, options: Options, folder: Path, threads: int) -> list[dict[str, Any]]:
    """Measures Keras and every file at each of BATCHES; returns a row for each, with the median
    milliseconds."""
    from alae_tf.system.timing import median_seconds

    opened: list[tuple[File, Runtime]] = [(File("Keras", ("encode", "decode")), KerasModel(model))]
    for format_, file in registry.steps(options):
        for open_file in [*format_.runtimes.values()][:1]:
            opened += [(part, open_file(folder / part.name, threads)) for part in file.compared]
    inputs, rows = {batch: noise(model, batch) for batch in BATCHES}, []
    for network, keys in GRAPHS.items():
        for (file, runtime), batch in itertools.product(opened, BATCHES):
            graph = next((graph for graph in file.graphs if graph in keys), None)
            if graph is None or file.batch not in (None, batch):
                continue
            run = functools.partial(runtime.run, graph, **{keys[graph]: inputs[batch][keys[graph]]})
            run()
            path = folder / file.name
            size = path.stat().st_size if path.is_file() else None
            row = {"graph": network, "file": file.name, "batch": batch, "threads": threads}
            rows.append(row | {"ms": 1e3 * median_seconds(run, TIMES), "size": size})
    return rows


def child(options: Options, folder: Path, threads: int) -> tuple[float, list[dict[str, Any]]]:
    """Measures in a process with a number of threads: GFLOP/s of a matrix product, and rows."""
    import_tensorflow()
    import tensorflow as tf

    from alae_tf.system.timing import matmul_gflops

    from .loading import load

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, _ = load(options)
    return matmul_gflops(), measure(model, options, folder, threads)


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with a row per file and a column per batch and number of threads."""
    columns = list(itertools.product(BATCHES, THREADS))
    heads = [f"batch {b}, {t} thread{'s'[: t - 1]}" for b, t in columns]
    lines = []
    for graph in ("encoder", "decoder"):
        lines += ["", f"| {graph}: ms | {' | '.join(heads)} | MiB |", "|---" * 6 + "|"]
        for name in dict.fromkeys(r["file"] for r in rows if r["graph"] == graph):
            of = [r for r in rows if (r["graph"], r["file"]) == (graph, name)]
            ms = {(r["batch"], r["threads"]): f"{r['ms']:.3g}" for r in of}
            size = "" if of[0]["size"] is None else f"{of[0]['size'] / 2**20:.1f}"
            cells = " | ".join(ms.get(column, "") for column in columns)
            lines.append(f"| {name} | {cells} | {size} |")
    return "\n".join(lines)


def run(options: Options, json_file: Path | None) -> None:
    """Writes the files, int8 calibrated on noise, and measures them in a process per number of
    threads, which TensorFlow sets only once."""
    import_tensorflow()
    from .exporter import Exporter
    from .loading import load

    registry.check_packages(registry.chosen(options.formats))
    model, _ = load(options)
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        work = Exporter(model, options, noise(model, 4)["pixels"], folder)
        for format_, file in registry.steps(options):
            format_.write(work, file)
        result, rates = [], {}
        for threads in THREADS:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                rates[threads], rows = process.submit(child, options, folder, threads).result()
            result += rows
    print(table(result))
    for threads, rate in rates.items():
        print(f"matrix product, {threads} thread{'s'[: threads - 1]}: {rate:.0f} GFLOP/s")
    if json_file:
        text = json.dumps(finite({"matmul_gflops": rates, "rows": result}), indent=1)
        write_atomic(json_file, text.encode())


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag, run or config."""
    example = "example: %(prog)s --untrained=configs/celeba128.cfg"
    parser = Arguments(f"{__package__}.benchmark", __doc__, epilog=example)
    add_model_flags(parser)
    add_formats_flag(parser)
    parser.flag("--json", "file to write the results to, as JSON", "FILE", type=output())
    flags = vars(parser.parse_args(arguments))
    json_file = flags.pop("json")
    options = Options(**flags, quantize=tuple(QUANTIZATIONS))
    return guarded("benchmark", lambda: run(options, json_file))


if __name__ == "__main__":
    sys.exit(start(main))
