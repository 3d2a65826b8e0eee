"""What an export format is: one record, in a file of its own, and a line in `registry.FORMATS`.

The flag `--formats` and its help, the steps of an export, the comparison with Keras, the picture,
publishing, the manifest and the benchmark all derive from the record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:  # --help and wrong flags need no TensorFlow
    import numpy as np

    from alae_tf.model.autoencoder import Autoencoder

    from .exporter import Exporter
    from .graphs import Endpoint, Graphs

FLOAT, FLOAT16 = 1e-4, 1e-2  # largest relative errors allowed


@dataclasses.dataclass(frozen=True)
class Options:
    """What is asked of an export: the flags of `python -m export`, by the same names.

    `version` is that of the SavedModel; an export sets it to the first that is free in `out`.
    """

    run_dir: Path | None = None
    untrained: Path | None = None
    level: int | None = None
    out: Path = Path("exported")
    formats: Sequence[str] = ()
    graphs: Sequence[str] = ("encoder", "decoder")
    quantize: Sequence[str] = ("none",)
    representative_data: str | None = None
    max_int8_error: float = 0.1
    directions: Path | None = None
    web_runtime: str | None = None
    version: int = 1


class File(NamedTuple):
    """A file or directory that is written, compared and published as a whole.

    Attributes:
        name: its path in the directory of the export.
        graphs: the graphs in it, see `parity.Reference`.
        batch: how many images it takes at once; None: any number.
        allowed: the largest error allowed; None: the error is only reported.
        bound: the error that `allowed` bounds, a field of `parity.Row`.
        quantization: of a TFLite file, the value of --quantize that asks for it; else "".
        parts: of a directory, the files in it that are compared.
        beside: names of what is written and published with it, and not compared.
    """

    name: str
    graphs: tuple[str, ...] = ()
    batch: int | None = None
    allowed: float | None = FLOAT
    bound: str = "relative_error"
    quantization: str = ""
    parts: tuple[File, ...] = ()
    beside: tuple[str, ...] = ()


class Runtime(Protocol):
    """A file, opened by a program that runs it."""

    def run(self, graph: str, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """The outputs of one of its graphs, by name; inputs and outputs are arrays [N, …]."""
        ...


class Format(NamedTuple):
    """One export format.

    Attributes:
        name: in --formats.
        about: what it writes, for --help.
        patterns: `fnmatch` patterns of the paths of all its files.
        files: what it writes, in order.
        write: writes one of these into `Exporter.folder`. An exception leaves this file out.
        runtimes: name → opens a file for a number of CPU threads. Each graph is run by all of them
            and compared with Keras; the picture and the benchmark use the first. A method
            `delegated() -> float` of what it opens goes into the comparison.
        packages: distributions that it needs, which the extra `export` installs.
        default: whether it is in the default of --formats.
        graphs: its graphs for the manifest.
        lasting: whether its files stay when later weights are exported.
        ready: raises an AlaeError before any work if something is missing.
    """

    name: str
    about: str
    patterns: tuple[str, ...]
    files: Callable[[Options], Iterable[File]]
    write: Callable[[Exporter, File], None]
    runtimes: Mapping[str, Callable[[Path, int], Any]]  # → Runtime
    packages: tuple[str, ...] = ()
    default: bool = True
    graphs: Callable[[Graphs], dict[str, Endpoint]] = lambda graphs: {}
    lasting: bool = False
    ready: Callable[[Options, Autoencoder], None] = lambda options, model: None
