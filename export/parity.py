"""Runs every exported file in the runtime that will run it, and compares with Keras."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from alae_tf.images.picture import png, tile
from alae_tf.networks import ops
from alae_tf.timing import median_seconds

from . import runtimes
from .graphs import Graphs
from .litert import TFLite

FLOAT, FLOAT16 = 1e-4, 1e-2  # largest relative error allowed
TIMES = 5  # of which the latency is the median
SLOW = 0.1  # seconds; what takes as long is timed once


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        file: relative to the export's directory.
        runtime: what ran it.
        graph: signature, or "encoder" or "decoder".
        output: what was compared, "w" or "images".
        max_error: largest difference.
        relative_error: of max_error to the largest entry.
        spread_error: root mean square difference in that of the values from their mean over images.
        allowed: largest relative_error (of int8: spread_error) allowed; None: only reported.
        latency_ms: median of one image.
        size: bytes of the file or directory.
        delegated: share of the operators that TFLite's XNNPACK delegate runs; else None.
    """

    file: str
    runtime: str
    graph: str
    output: str
    max_error: float
    relative_error: float
    spread_error: float
    allowed: float | None
    latency_ms: float
    size: int
    delegated: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the error is a number, and within what is allowed."""
        error = self.spread_error if "int8" in self.file else self.relative_error
        return error <= (float("inf") if self.allowed is None else self.allowed)

    @property
    def fault(self) -> str:
        """What is wrong where it does not hold."""
        error, of, flag = self.relative_error, "the largest", ""
        if "int8" in self.file:
            error, of, flag = self.spread_error, "the spread between images", " (--max_int8_error)"
        return (
            f"its {self.output}, run by {self.runtime} ({self.graph}), is {error:.2g} of {of} off, "
            f"where {self.allowed:g} is allowed{flag}"
        )


class Reference:
    """What Keras makes of some real images.

    Args:
        graphs: of the model.
        pixels: uint8 [n, H, W, C], n at least 4.

    Attributes:
        pixels, images, w, decoded: the images, their codes, and the reconstructions.
        z, psi, generated: three codes of F, their truncation, and what G makes of them.
        mapped: F(z).
    """

    def __init__(self, graphs: Graphs, pixels: np.ndarray):
        self.graphs, self.pixels = graphs, pixels
        self.images = ops.to_unit(pixels).numpy()
        self.w = in_parts(lambda x: graphs.encode(tf.constant(x))["w"].numpy(), self.images)
        self.decoded = in_parts(lambda w: graphs.decode(tf.constant(w))["images"].numpy(), self.w)
        random = np.random.default_rng(0)
        self.z = random.standard_normal((3, graphs.config.latent_size), np.float32)
        self.psi = np.array([1.0, 0.7, 0.3], np.float32)
        self.mapped = graphs.map(tf.constant(self.z))["w"].numpy()
        self.generated = graphs.generate(tf.constant(self.z), tf.constant(self.psi))[
            "images"
        ].numpy()


def in_parts(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """run(x) in batches of 1, 3, 3, …, so that both sizes are tried."""
    return np.concatenate([run(x[:1]), *(run(x[i : i + 3]) for i in range(1, len(x), 3))])


def compare(
    path: Path,
    root: Path,
    runtime: str,
    graph: str,
    run: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    expected: np.ndarray,
    allowed: float | None,
) -> Row:
    """Runs x through a file and compares with what is expected."""
    got = in_parts(run, x)
    difference = got - expected
    largest = float(np.abs(difference).max())
    spread = np.sqrt(np.mean(np.square(expected - expected.mean(axis=0))))
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return Row(
        file=str(path.relative_to(root)),
        runtime=runtime,
        graph=graph,
        output="w" if expected.ndim == 2 else "images",
        max_error=largest,
        relative_error=largest / float(np.abs(expected).max()),
        spread_error=float(np.sqrt(np.mean(np.square(difference))) / max(spread, 1e-12)),
        allowed=allowed,
        latency_ms=1e3 * latency(lambda: run(x[:1])),
        size=sum(file.stat().st_size for file in files),
    )


def latency(call: Callable[[], object]) -> float:
    """Median wall time of a call that has run before, in seconds."""
    once = median_seconds(call, 1)
    return once if once > SLOW else median_seconds(call, TIMES)


def check_tflite(
    path: Path, root: Path, graph: str, reference: Reference, max_int8_error: float
) -> Row:
    """One .tflite file. Int8 encoders are held to `max_int8_error`; decoders are reported."""
    run = TFLite(path)
    encoder = graph == "encoder"
    x = reference.images if encoder else reference.w
    if run.input["dtype"] == np.uint8:
        x = reference.pixels
    allowed = FLOAT16 if "float16" in path.name else FLOAT
    if "int8" in path.name:
        allowed = max_int8_error if encoder else None
    expected = reference.w if encoder else reference.decoded
    row = compare(path, root, "LiteRT", graph, run, x, expected, allowed)
    return dataclasses.replace(row, delegated=run.delegated())


def check_single(
    path: Path, root: Path, signature: str, reference: Reference, max_int8_error: float
) -> Row:
    """One .tflite file for one image at a time, of `Graphs.single_signatures`."""
    run, graph = TFLite(path), signature.removesuffix("_one")
    styles = np.repeat(reference.w[:, np.newaxis], reference.graphs.config.styles, axis=1)
    x, expected = {
        "encoder": (reference.images, reference.w),
        "decoder": (reference.w, reference.decoded),
        "decoder_styles": (styles, reference.decoded),
        "mapping": (reference.z, reference.mapped),
    }[graph]
    allowed = FLOAT
    if "int8" in path.name:
        allowed = max_int8_error if graph == "encoder" else None

    def one_by_one(x: np.ndarray) -> np.ndarray:
        return np.concatenate([run(x[i : i + 1]) for i in range(len(x))])

    row = compare(path, root, "LiteRT", graph, one_by_one, x, expected, allowed)
    return dataclasses.replace(row, delegated=run.delegated())


def check_onnx(path: Path, root: Path, graph: str, reference: Reference) -> Row:
    """One .onnx file."""
    x, expected = (
        (reference.images, reference.w) if graph == "encoder" else (reference.w, reference.decoded)
    )
    return compare(path, root, "ONNX Runtime", graph, runtimes.ONNX(path), x, expected, FLOAT)


def check_keras(path: Path, root: Path, reference: Reference) -> list[Row]:
    """A .keras file, read back by Keras."""
    from alae_tf import keras_file

    model = keras_file.load(path)
    one = reference
    return [
        compare(path, root, "Keras", "encode", model.encode, one.images, one.w, FLOAT),
        compare(
            path,
            root,
            "Keras",
            "decode",
            lambda w: model.decode(w, floats=True),
            one.w,
            one.decoded,
            FLOAT,
        ),
    ]


def check_saved_model(path: Path, root: Path, reference: Reference) -> Iterator[Row]:
    """Every signature of a SavedModel, by TensorFlow 2 and as TF Serving loads it."""
    styles = reference.graphs.config.styles
    files = np.array([png(pixels) for pixels in reference.pixels])
    cases = [
        ("encode", "images", reference.images, "w", reference.w),
        ("encode_uint8", "pixels", reference.pixels, "w", reference.w),
        ("encode_bytes", "image_bytes", files, "w", reference.w),
        ("decode", "w", reference.w, "images", reference.decoded),
        ("decode", "w", np.repeat(reference.w[:, None], styles, 1), "images", reference.decoded),
        ("reconstruct", "images", reference.images, "images", reference.decoded),
    ]
    loaders = {"TF 2": runtimes.SavedModel, "TF 1 loader": runtimes.ServedModel}
    for runtime, load in loaders.items():
        model = load(path)
        for graph, key, x, output, expected in cases:

            def run(x, model=model, graph=graph, key=key, output=output):
                return model.run(graph, **{key: x})[output]

            yield compare(path, root, runtime, graph, run, x, expected, FLOAT)

        def generate(indices, model=model):
            z, psi = reference.z[indices], reference.psi[indices]
            return model.run("generate", z=z, psi=psi)["images"]

        yield compare(
            path, root, runtime, "generate", generate, np.arange(3), reference.generated, FLOAT
        )


def picture(root: Path, files: list[str], reference: Reference) -> np.ndarray:
    """Rows of the same images: the originals, Keras' reconstructions, then those by each pair of
    an encoder and a decoder, in the order of `pairs(files)`.

    Returns:
        uint8 [height, width, C].
    """
    rows = [reference.pixels, ops.to_pixels(reference.decoded).numpy()]
    if "saved_model" in files:
        (version,) = (root / "saved_model").iterdir()
        model = runtimes.SavedModel(version)
        rows.append(model.run("reconstruct", images=reference.images)["pixels"])
    for encoder, decoder in pairs(files):
        load = runtimes.ONNX if encoder.endswith(".onnx") else TFLite
        encode, decode = load(root / encoder), load(root / decoder)
        x = reference.pixels if encoder == "encoder_int8.tflite" else reference.images
        decoded = in_parts(decode, in_parts(encode, x))
        rows.append(ops.to_pixels(decoded).numpy())
    return tile(np.concatenate(rows))


def pairs(files: list[str]) -> list[tuple[str, str]]:
    """The encoders that have a decoder of the same format."""
    encoders = [name for name in files if name.startswith("encoder")]
    both = [(name, name.replace("encoder", "decoder")) for name in encoders]
    return [(encoder, decoder) for encoder, decoder in both if decoder in files]


def table(rows: list[Row]) -> str:
    """The comparisons as a table for the screen."""
    lines = [
        f"{'file':<30}{'run by':<14}{'graph':<14}{'of':<8}{'largest':>9}{'relative':>10}"
        f"{'of spread':>11}{'ms':>9}{'KiB':>9}{'delegated':>11}"
    ]
    for row in rows:
        share = "" if row.delegated is None else f"{row.delegated:.0%}"
        lines.append(
            f"{row.file:<30}{row.runtime:<14}{row.graph:<14}{row.output:<8}{row.max_error:>9.1e}"
            f"{row.relative_error:>10.1e}{row.spread_error:>11.1e}{row.latency_ms:>9.2f}"
            f"{row.size / 1024:>9,.0f}{share:>11}{'' if row.holds else '  TOO FAR'}"
        )
    return "\n".join(lines)
