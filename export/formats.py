"""The record of an export format, which each format's module fills in for `registry.FORMATS`.

The flag --formats with its help, the steps of an export, comparison, publishing, the manifest and
the benchmark derive from the record.
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

GRAPHS = ("encoder", "decoder", "encoder_styles", "decoder_styles")  # of TFLite and ONNX files
FLOAT, FLOAT16 = 1e-4, 1e-2  # largest relative errors allowed


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of `alae export`, by name.

    `version` is the SavedModel's; an export sets it to the next version in `out`. `run_dir` and
    `out` are strings if they are URLs; an export sets `out` to a local copy, and `url` to the URL.
    """

    run_dir: Path | str | None = None
    untrained: Path | None = None
    level: int | None = None
    checkpoint: str | None = None
    out: Path = Path("exported")
    url: str | None = None
    formats: Sequence[str] = ()
    graphs: Sequence[str] = GRAPHS[:2]
    quantize: Sequence[str] = ("none",)
    representative_data: str | None = None
    max_int8_error: float = 0.1
    max_int8_decoder_error: float = 0.2
    directions: Path | None = None
    web_runtime: str | None = None
    version: int = 1


class File(NamedTuple):
    """A file or directory that is written, compared and published as a whole."""

    name: str  # path in the directory of the export
    graphs: tuple[str, ...] = ()  # names of its graphs, see `parity.Reference`
    batch: int | None = None  # number of images that it takes at once; None: any
    allowed: float = FLOAT  # the largest error allowed
    bound: str = "relative_error"  # the error that `allowed` limits, a field of `parity.Row`
    quantization: str = ""  # value of --quantize that selects a TFLite file, else ""
    parts: tuple[File, ...] = ()  # files of a directory that are compared
    beside: tuple[str, ...] = ()  # other files that are written and published with it

    @property
    def compared(self) -> tuple[File, ...]:
        """What is opened and compared: its parts, or the file itself."""
        return self.parts or (self,)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that is written and published."""
        return (self.name, *self.beside)


class Runtime(Protocol):
    """An opened file, ready to run."""

    def run(self, graph: str, **inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        """The outputs of a graph, by name; inputs and outputs are arrays [N, …]."""
        ...


class Format(NamedTuple):
    """An export format."""

    name: str  # value of --formats
    about: str  # its files, for --help
    patterns: tuple[str, ...]  # `fnmatch` patterns of the paths of all its files
    files: Callable[[Options], Iterable[File]]  # its files, in the order of writing
    # Writes a file into `Exporter.folder`; if it raises, the file is left out.
    write: Callable[[Exporter, File], None]
    # Name → opens a file with a number of CPU threads, as a `Runtime`. All runtimes are compared
    # with Keras; the picture and the benchmark use the first, if there is one. A runtime may have
    # a method `delegated() -> float` for the comparison.
    runtimes: Mapping[str, Callable[[Path, int], Any]]
    packages: tuple[str, ...] = ()  # required distributions, which the extra `export` installs
    default: bool = True  # whether --formats includes it by default
    graphs: Callable[[Graphs], dict[str, Endpoint]] = lambda graphs: {}  # for the manifest
    lasting: bool = False  # whether its files stay when later weights are exported
    # Raises an AlaeError, before any work, if something is missing.
    ready: Callable[[Options, Autoencoder], None] = lambda options, model: None
