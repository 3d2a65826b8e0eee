"""What every source of images has in common: random access by index."""

import abc
import dataclasses
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path

import numpy as np

from alae_tf.images.fit import fit
from alae_tf.system.errors import AlaeError, printable

NAMES_SHOWN = 5
MOST_BYTES = 2**32  # of images that are held at once, as pixels and as floats
FOLDER_OPTIONS = ("channels", "test", "labels")  # that may follow the directory of folder:DIR


class DataError(AlaeError):
    """The images asked for cannot be had.

    The message is whole by itself (the flag or file, what is wrong, what would be right), so that
    an entry point prints it without a traceback.
    """


class Source(abc.ABC):
    """Images that can be read in any order, from several threads at once.

    Attributes:
        uri: what the user typed after --data=.
        channels: 1 (grey) or 3 (RGB), the same for every image.
        labels: int64 [len], or None if the images have no classes.
        class_names: what the labels count, or None if they are numbers alone.
        held_out: a Source of images that training never sees, or None.
    """

    uri: str
    channels: int
    labels: np.ndarray | None = None
    class_names: list[str] | None = None
    held_out: "Source | None" = None

    def tell_sizes(self, resolution: int) -> None:  # noqa: B027, most sources have nothing to tell
        """Tells the user if images must be enlarged for a resolution, or lose most of themselves.

        For a source that knows their sizes; to be called once, before the work.
        """

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def image(self, index: int) -> np.ndarray:
        """Image `index` (0 to len - 1), decoded and upright: uint8 [H, W, channels], any size.

        Raises:
            DataError: the image cannot be read.
        """

    def pyramid(self, index: int, resolutions: Sequence[int]) -> list[np.ndarray]:
        """Image `index`, square, at each of some resolutions: uint8 [resolution, resolution, C].

        Each is fitted from the original (`alae_tf.images.fit.fit`), which is decoded once.

        Raises:
            DataError: the image cannot be read.
        """
        image = self.image(index)
        return [fit(image, resolution) for resolution in resolutions]

    def fitted(self, index: int, resolution: int) -> np.ndarray:
        """`pyramid` at one resolution: uint8 [resolution, resolution, C]."""
        return self.pyramid(index, [resolution])[0]


class Subset(Source):
    """Some images of a source.

    Args:
        source: where they are.
        indices: int64 [n], their places there.
    """

    def __init__(self, source: Source, indices: np.ndarray):
        self.uri, self.channels = source.uri, source.channels
        self.labels = None if source.labels is None else source.labels[indices]
        self.class_names = source.class_names
        self._source, self._indices = source, indices

    def tell_sizes(self, resolution: int) -> None:
        self._source.tell_sizes(resolution)

    def __len__(self) -> int:
        return len(self._indices)

    def image(self, index: int) -> np.ndarray:
        return self._source.image(int(self._indices[index]))

    def pyramid(self, index: int, resolutions: Sequence[int]) -> list[np.ndarray]:
        return self._source.pyramid(int(self._indices[index]), resolutions)


def evenly(source: Sized, count: int) -> np.ndarray:
    """Indices of `count` images spread evenly over a source, the first image among them.

    Args:
        source: the images, or anything else that has a length.
        count: how many; if the source has fewer, some indices are repeated.

    Returns:
        int64 [count], ascending.
    """
    return np.linspace(0, len(source), count, endpoint=False).astype(int)


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A kind of data: what `NAME:ARGUMENT` stands for.

    Args:
        form: how it is written.
        about: what it is, in a line.
        open: "module:function" of a function (URI, ARGUMENT) → `Source`, imported when needed.
        folder: (URI, ARGUMENT) → the folder that must exist; None: there is none.
        mark: pattern of files by which a folder named without a scheme is recognised.
    """

    form: str
    about: str
    open: str
    folder: Callable[[str, str], Path] | None = None
    mark: str = ""


def check_channels(source: Source, channels: int, flag: str = "--data") -> None:
    """Raises DataError if images are grey and a model in colour, or the reverse.

    Args:
        source: the images.
        channels: that the model takes.
        flag: that named the images.
    """
    if source.channels != channels:
        folder = source.uri.partition("?")[0]
        other = f", or {flag}={folder}?channels={channels}" if folder.startswith("folder:") else ""
        raise DataError(
            f"{flag}={source.uri}: its images have {source.channels} channels, and the model takes "
            f"{channels}. Train with --image_channels={source.channels}{other}."
        )


def within_memory(source: Source, resolution: int) -> Source:
    """The images, or as many of them, evenly spread, as may be held with their floats."""
    most = MOST_BYTES // (5 * resolution**2 * source.channels)
    if len(source) <= most:
        return source
    return Subset(source, evenly(source, most))


def split_query(uri: str, argument: str, allowed: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Splits "PATH?key=value&key=value" into the path and its options.

    A path may hold question marks: options begin at the last one that an allowed key and an equals
    sign follow. A path that itself ends like an option is named with options after it, as
    "folder:/what?size=1?channels=3".

    Raises:
        DataError: an option that is not in `allowed`, or one without a value.
    """
    keys = "|".join(map(re.escape, allowed))
    found = re.fullmatch(rf"(.*)\?((?:{keys})=.*)", argument, re.DOTALL)
    path, query = found.groups() if found else (argument, "")
    items = re.split(rf"&(?=(?:{keys})=)", query) if query else []
    options = {key: value for key, _, value in (item.partition("=") for item in items)}
    wrong = [f"{key}=" for key, value in options.items() if not value]
    if not found:
        wrong = re.findall(r"\?(\w+=[^/]*)$", path)
    if wrong:
        raise DataError(
            f"--data={uri}: option '{wrong[0]}' is not understood. "
            f"What can follow the question mark: {', '.join(f'{name}=…' for name in allowed)}."
        )
    return path, options


def local_path(uri: str, path: str) -> Path:
    """A path in a URI, which may begin with ~ and need not exist.

    Raises:
        DataError: it cannot be looked at.
    """
    try:
        local = Path(path).expanduser()
        local.exists()
        return local
    except (OSError, RuntimeError) as error:  # too long, no rights, no such user
        why = getattr(error, "strerror", None) or error
        raise DataError(f"--data={uri}: {path} cannot be reached ({why}).") from None


def existing_directory(uri: str, path: str, should: str) -> Path:
    """The directory that a URI names; the message says what it should be.

    Raises:
        DataError: there is no directory.
    """
    directory = local_path(uri, path)
    if not directory.is_dir():
        if how := unpacking(directory):
            raise DataError(f"--data={uri}: {directory} is an archive. {how}")
        raise DataError(f"--data={uri}: {directory.absolute()} is not a directory. {should}")
    return directory


def unpacking(path: Path) -> str | None:
    """How to get at the images of a .zip or .tar file, or None if a path is no such file."""
    for kind, endings, _ in shutil.get_unpack_formats():
        for ending in endings if path.is_file() else ():
            if path.name.lower().endswith(ending):
                out = path.with_name(path.name[: -len(ending)] or "images")
                module = "zipfile" if kind == "zip" else "tarfile"
                quoted = f"{shlex.quote(str(path))} {shlex.quote(str(out))}"
                return f"Unpack it (python -m {module} -e {quoted}) and write --data=folder:{out}"
    return None


def some(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = list(names)
    return ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")


def report(message: str) -> None:
    """Tells the user, on stderr, something that does not stop the work."""
    print(printable(message), file=sys.stderr)
