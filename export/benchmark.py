"""Times the encoder and the decoder in Keras and in every exported format, side by side."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from alae_tf.environment import start
from alae_tf.errors import guarded, program
from alae_tf.files import write_atomic
from alae_tf.quiet import import_tensorflow

from . import QUANTIZATIONS, ExportFailed
from .__main__ import add_model_flags

THREADS = (1, 2)
BATCHES = (1, 8)
TIMES = 15  # of which a latency is the median
FILES = {
    "TFLite float32": "{}.tflite",
    "TFLite float16": "{}_float16.tflite",
    "TFLite dynamic int8": "{}_dynamic_int8.tflite",
    "TFLite int8": "{}_int8.tflite",
    "ONNX Runtime": "{}.onnx",
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program(f"{__package__}.benchmark"),
        description=__doc__,
        epilog="Example: %(prog)s --untrained=configs/celeba128.cfg",
    )
    add_model_flags(parser)
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of the child processes
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    args.given = sys.argv[1:] if arguments is None else arguments
    if args.json and not args.json.resolve().parent.is_dir():
        parser.error(f"--json={args.json}: its directory does not exist.")
    return args


def write_files(model, folder: Path) -> None:
    """All formats of a model, int8 calibrated on noise: good for timing only."""
    import numpy as np
    from tqdm import tqdm

    from . import onnx, publish, saved_model, tflite
    from .graphs import Graphs

    graphs = Graphs(model)
    signatures = graphs.device_signatures()
    saved_model.write(model.alae, signatures, folder / "saved_model")
    mlp = model.config.architecture == "mlp"
    random = np.random.default_rng(0)
    kinds = [("encoder", kind) for kind in (*QUANTIZATIONS, "onnx")]
    kinds += [("decoder", kind) for _, kind in kinds]
    for graph, kind in tqdm(kinds, "writing", leave=False):
        if kind == "onnx":
            (folder / f"{graph}.onnx").write_bytes(onnx.convert(signatures[graph]))
            continue
        source = "encoder_uint8" if (graph, kind) == ("encoder", "int8") else graph
        file = tflite.convert(folder / "saved_model", source)
        if kind != "none":
            inputs = _input(signatures[source][1][0], 4, random)
            file = tflite.quantize(file, kind, [inputs], mlp)
        (folder / f"{graph}{publish.SUFFIX[kind]}.tflite").write_bytes(file)


def _input(spec, batch: int, random):
    """Noise of an input's shape and type."""
    import numpy as np

    shape = [batch, *spec.shape[1:]]
    if spec.dtype == "uint8":
        return random.integers(0, 256, shape, np.uint8)
    return random.standard_normal(shape, np.float32).clip(-1, 1)


def measure(model, folder: Path, threads: int) -> list[dict[str, Any]]:
    """Median milliseconds of every runtime in this process, at each of BATCHES."""
    import numpy as np
    import tensorflow as tf

    from alae_tf.timing import median_seconds

    from . import runtimes
    from .graphs import Graphs
    from .litert import TFLite

    signatures = Graphs(model).device_signatures()
    loaded = runtimes.SavedModel(folder / "saved_model")
    random = np.random.default_rng(0)
    rows = []
    for graph in ("encoder", "decoder"):
        function, (spec,) = signatures[graph]
        keras = tf.function(function, input_signature=[spec])
        runs = {
            "Keras": lambda x, f=keras: [v.numpy() for v in f(tf.constant(x)).values()],
            "SavedModel": lambda x, g=graph, n=spec.name: loaded.run(g, **{n: x}),
        }
        sizes: dict[str, int | None] = {"SavedModel": None, "Keras": None}
        for name, pattern in FILES.items():
            path = folder / pattern.format(graph)
            load_file = runtimes.ONNX if name == "ONNX Runtime" else TFLite
            runs[name], sizes[name] = load_file(path, threads), path.stat().st_size
        for (name, run), batch in itertools.product(runs.items(), BATCHES):
            int8 = name == "TFLite int8" and graph == "encoder"
            x = _input(signatures["encoder_uint8"][1][0] if int8 else spec, batch, random)
            run(x)
            rows.append(
                {
                    "graph": graph,
                    "runtime": name,
                    "batch": batch,
                    "threads": threads,
                    "ms": 1e3 * median_seconds(lambda run=run, x=x: run(x), TIMES),
                    "size": sizes[name],
                }
            )
    return rows


def child(args: argparse.Namespace) -> None:
    """Measures with one number of threads, which TensorFlow takes once a process."""
    import tensorflow as tf

    from alae_tf.timing import matmul_gflops

    from .loading import load

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model, _ = load(args.run_dir, args.untrained, args.level)
    rows = measure(model, args.folder, args.threads)
    (args.folder / f"rows{args.threads}.json").write_text(
        json.dumps([matmul_gflops(), rows]), encoding="utf-8"
    )


def table(rows: list[dict[str, Any]]) -> str:
    """A line a runtime, a column for each batch and number of threads (Markdown)."""
    columns = list(itertools.product(BATCHES, THREADS))
    heads = [f"batch {b}, {t} thread{'s'[: t - 1]}" for b, t in columns]
    lines = []
    for graph in ("encoder", "decoder"):
        lines += ["", f"| {graph}: ms | {' | '.join(heads)} | MiB |", "|---" * 6 + "|"]
        for name in ("Keras", "SavedModel", *FILES):
            of = [r for r in rows if (r["graph"], r["runtime"]) == (graph, name)]
            ms = {(r["batch"], r["threads"]): r["ms"] for r in of}
            size = "" if of[0]["size"] is None else f"{of[0]['size'] / 2**20:.1f}"
            cells = " | ".join(f"{ms[column]:.3g}" for column in columns)
            lines.append(f"| {name} | {cells} | {size} |")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> None:
    """Writes the files once, then measures in a process for each number of threads."""
    from .loading import load

    model, _ = load(args.run_dir, args.untrained, args.level)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(model, folder)
        result, rates = [], {}
        for threads in THREADS:
            command = [sys.executable, "-m", f"{__package__}.benchmark", *args.given]
            command += [f"--folder={folder}", f"--threads={threads}"]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise ExportFailed(f"measuring with {threads} threads failed:\n{done.stderr}")
            rates[threads], rows = json.loads(
                (folder / f"rows{threads}.json").read_text(encoding="utf-8")
            )
            result += rows
    print(table(result))
    for threads, rate in rates.items():
        print(f"matrix product, {threads} thread{'s'[: threads - 1]}: {rate:.0f} GFLOP/s")
    if args.json:
        text = json.dumps({"matmul_gflops": rates, "rows": result}, indent=1)
        write_atomic(args.json, f"{text}\n".encode())


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag, run or config."""
    args = parse(arguments)

    def work() -> None:
        import_tensorflow()
        child(args) if args.folder else run(args)

    return guarded("benchmark", work)


if __name__ == "__main__":
    sys.exit(start(main))
