"""Compares every exported file, in the runtimes of its format, with Keras."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from alae_tf.images.picture import png, tile
from alae_tf.latents.codes import to_styles
from alae_tf.latents.directions import Direction
from alae_tf.networks import ops
from alae_tf.system.timing import median_seconds

from .calibration import edited
from .formats import File, Format, Runtime
from .graphs import Graphs
from .publish import all_files

TIMES = 5  # calls, of which the latency is the median
SLOW = 0.1  # seconds; a call that takes longer is timed only once


@dataclasses.dataclass(frozen=True)
class Row:
    """A comparison of an output of a graph of a file, run by a runtime."""

    file: str  # path in the directory of the export
    runtime: str
    graph: str
    output: str
    max_error: float  # the largest difference
    relative_error: float  # max_error, divided by the largest expected value
    # Root mean square of the differences, divided by that of the expected values' distances from
    # their mean over images.
    spread_error: float
    allowed: float  # the largest error allowed
    latency_ms: float  # median for one image, or for the batch that the file takes
    size: int  # of the file or directory, in bytes
    delegated: float | None = None  # share of the operators that TFLite's XNNPACK delegate runs
    bound: str = "relative_error"  # the error that `allowed` limits, or "spread_error"
    codes: str = ""  # of a decoder, what was decoded: "E(x)", "F(z)" or "edited"

    @property
    def holds(self) -> bool:
        """Whether the error is a number and at most the allowed one."""
        return getattr(self, self.bound) <= self.allowed

    @property
    def fault(self) -> str:
        """The reason for a rejection."""
        scale, flag = "largest value", ""
        if self.bound == "spread_error":
            kind = "_decoder" if self.graph.startswith("decoder") else ""
            scale, flag = "spread between images", f" (--max_int8{kind}_error)"
        of = f" of {self.codes} codes" if self.codes else ""
        return (
            f"in {self.runtime}, {self.output} of {self.graph}{of} differs from Keras by "
            f"{getattr(self, self.bound):.2g} of the {scale}; {self.allowed:g} is allowed{flag}"
        )


class Case(NamedTuple):
    """Inputs of a graph by name, and the output that Keras computes from them."""

    inputs: Mapping[str, np.ndarray]
    output: str
    expected: np.ndarray
    codes: str = ""  # see `Row`


class Reference:
    """Keras' results for real images, uint8 [n, H, W, C] with n at least 4. Decoders are compared
    on codes of the images, n codes of F without truncation, and edited ones; see
    `calibration.edited`.

    Attributes:
        pixels, images, decoded: the images, and their reconstructions.
        cases: name of a graph → its cases.
    """

    def __init__(self, graphs: Graphs, pixels: np.ndarray, directions: Sequence[Direction]):
        def first(function: Callable, *inputs: np.ndarray) -> np.ndarray:
            return next(iter(function(*map(tf.constant, inputs)).values())).numpy()

        def run(function: Callable, *inputs: np.ndarray) -> np.ndarray:
            """The first output, computed eagerly: TensorFlow's optimised graphs round more."""
            return in_parts(lambda *x: first(function, *x), inputs)

        self.pixels = pixels
        self.images = ops.to_unit(pixels).numpy()
        w, styles = run(graphs.encode, self.images), run(graphs.encode_styles, self.images)
        latent = graphs.config.latent_size
        random = np.random.default_rng(1)
        drawn = run(graphs.map, random.standard_normal((len(pixels), latent), np.float32))

        def decoders(codes: np.ndarray, drawn: np.ndarray) -> list[Case]:
            kinds = {"E(x)": codes, "F(z)": drawn, "edited": edited(codes, directions)}
            return [
                Case({"w": each}, "images", run(graphs.decode, each), kind)
                for kind, each in kinds.items()
            ]

        decoder = decoders(w, drawn)
        decoder_styles = decoders(styles, to_styles(drawn, graphs.config.styles))
        self.decoded = decoder_styles[0].expected
        z = np.random.default_rng(0).standard_normal((3, latent), np.float32)
        psi = np.array([1.0, 0.7, 0.3], np.float32)
        mapped, generated = run(graphs.map, z), run(graphs.generate, z, psi)
        self.cases = {
            "decode": [decoder[0], decoder_styles[0]],
            "decoder": decoder,
            "decoder_styles": decoder_styles,
            "reconstruct": [Case({"images": self.images}, "images", self.decoded)],
            "generate": [Case({"z": z, "psi": psi}, "images", generated)],
            "mapping": [Case({"z": z}, "w", mapped)],
        }
        for ending, inputs in {
            "": {"images": self.images},
            "_uint8": {"pixels": pixels},
            "_bytes": {"image_bytes": np.array([png(each) for each in pixels])},
        }.items():
            for graph in ("encode", "encoder"):
                self.cases[f"{graph}{ending}"] = [Case(inputs, "w", w)]
                self.cases[f"{graph}_styles{ending}"] = [Case(inputs, "styles", styles)]


def in_parts(
    run: Callable[..., np.ndarray], inputs: Sequence[np.ndarray], batch: int | None = None
) -> np.ndarray:
    """run(*inputs) in batches of 1, 3, 3, …, which tries two sizes; or of a fixed size."""
    count, parts = len(inputs[0]), []
    starts = range(0, count, batch) if batch else [0, *range(1, count, 3)]
    for start, end in itertools.pairwise([*starts, count]):
        part = [x[start:end] for x in inputs]
        if batch:  # fills up the last batch
            part = [np.resize(x, (batch, *x.shape[1:])) for x in part]
        parts.append(run(*part)[: end - start])
    return np.concatenate(parts)


def check(format_: Format, file: File, folder: Path, reference: Reference) -> Iterator[Row]:
    """Compares every graph of a file in every runtime of its format."""
    for part in file.compared:
        for name, open_file in format_.runtimes.items():
            model = open_file(folder / part.name, 2)
            for graph in part.graphs:
                for case in reference.cases[graph]:
                    yield compare(folder, part, name, model, graph, case)


def runner(model: Runtime, graph: str, case: Case) -> Callable[..., np.ndarray]:
    """A graph as a function of the case's inputs."""
    return lambda *inputs: model.run(graph, **dict(zip(case.inputs, inputs, strict=True)))[
        case.output
    ]


def compare(folder: Path, file: File, runtime: str, model: Runtime, graph: str, case: Case) -> Row:
    """Compares one case of a graph."""
    run, inputs, expected = runner(model, graph, case), [*case.inputs.values()], case.expected
    difference = in_parts(run, inputs, file.batch) - expected
    largest = float(np.abs(difference).max())
    spread = np.sqrt(np.mean(np.square(expected - expected.mean(axis=0))))
    delegated = getattr(model, "delegated", None)
    one = [np.resize(x, (file.batch or 1, *x.shape[1:])) for x in inputs]
    seconds = median_seconds(lambda: run(*one), 1)
    if seconds <= SLOW:
        seconds = median_seconds(lambda: run(*one), TIMES)
    return Row(
        file=file.name,
        runtime=runtime,
        graph=graph,
        output=case.output,
        max_error=largest,
        relative_error=largest / float(np.abs(expected).max()),
        spread_error=float(np.sqrt(np.mean(np.square(difference))) / max(spread, 1e-12)),
        allowed=file.allowed,
        latency_ms=1e3 * seconds,
        size=sum(each.stat().st_size for each in all_files(folder / file.name)),
        delegated=delegated() if delegated else None,
        bound=file.bound,
        codes=case.codes,
    )


def picture(folder: Path, files: Sequence[tuple[Format, File]], reference: Reference) -> np.ndarray:
    """A picture of the originals, Keras' reconstructions, and those of each file with the graph
    `reconstruct` and of each pair of an encoder and a decoder: uint8 [height, width, C]."""
    rows = [reference.pixels, ops.to_pixels(reference.decoded).numpy()]
    decoders = {file.name: file for _, file in files if file.name.startswith("decoder")}
    for format_, file in files:
        if not format_.runtimes:
            continue
        open_file, *_ = format_.runtimes.values()
        for part in file.compared:
            if "reconstruct" in part.graphs:
                model = open_file(folder / part.name, 2)
                rows.append(model.run("reconstruct", images=reference.images)["pixels"])
        decoder = decoders.get(file.name.replace("encoder", "decoder"))
        if file.name.startswith("encoder") and decoder is not None:
            x = None
            for each in (file, decoder):
                (graph,) = each.graphs
                case = reference.cases[graph][0]
                run = runner(open_file(folder / each.name, 2), graph, case)
                x = in_parts(run, [*case.inputs.values()] if x is None else [x], each.batch)
            rows.append(ops.to_pixels(x).numpy())
    return tile(np.concatenate(rows))


def table(rows: list[Row]) -> str:
    """The comparisons as a text table."""
    line = "{:<30}{:<14}{:<22}{:<8}{:>9}{:>10}{:>11}{:>9}{:>9}{:>11}{}"
    heads = "file", "run by", "graph", "of", "largest", "relative", "of spread", "ms", "KiB"
    lines = [line.format(*heads, "delegated", "")]
    for row in rows:
        errors = [f"{e:.1e}" for e in (row.max_error, row.relative_error, row.spread_error)]
        share = "" if row.delegated is None else f"{row.delegated:.0%}"
        left = row.file, row.runtime, f"{row.graph} {row.codes}", row.output, *errors
        right = f"{row.latency_ms:.2f}", f"{row.size / 1024:,.0f}", share
        lines.append(line.format(*left, *right, "" if row.holds else "  TOO FAR"))
    return "\n".join(lines)
