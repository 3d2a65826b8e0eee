"""The export formats, in the order in which they are written."""

import fnmatch
import importlib.metadata
from collections.abc import Iterable, Sequence

from . import ExportError, keras, onnx, saved_model, tflite, web
from .formats import File, Format, Options

FORMATS: list[Format] = [saved_model.FORMAT, onnx.FORMAT, tflite.FORMAT, keras.FORMAT, web.FORMAT]


def chosen(names: Sequence[str]) -> list[Format]:
    """The formats of these names."""
    return [each for each in FORMATS if each.name in names]


def steps(options: Options) -> list[tuple[Format, File]]:
    """All files to write, each with its format."""
    return [(each, file) for each in chosen(options.formats) for file in each.files(options)]


def found(names: Iterable[str]) -> list[Format]:
    """The formats that files belong to, by their paths."""
    names = list(names)
    return [each for each in FORMATS if any(fnmatch.filter(names, p) for p in each.patterns)]


def installed(package: str) -> bool:
    """Whether a distribution is installed."""
    return any(importlib.metadata.distributions(name=package))


def check_packages(formats: Iterable[Format]) -> None:
    """Raises an ExportError if a package that these formats need is not installed."""
    missing = [name for each in formats for name in each.packages if not installed(name)]
    if missing:
        how = "the extra `export` includes them (in a clone: pip install -e '.[export]')"
        raise ExportError(f"{', '.join(dict.fromkeys(missing))}: not installed; {how}.")
