"""The common interface of all sources of images: random access by index."""

import abc
import contextlib
import dataclasses
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path

import numpy as np

from alae_tf.cloud.storage import StorageError
from alae_tf.data import remote
from alae_tf.images.fit import fit
from alae_tf.system.errors import AlaeError, report
from alae_tf.system.urls import is_url

NAMES_SHOWN = 5
MOST_BYTES = 2**32  # of images held in memory at once, as pixels and as floats
FOLDER_OPTIONS = ("channels", "test", "labels")  # of folder:DIR
ARCHIVES = (".zip", ".tar")  # that `folder:` reads
TFDS_OPTIONS = ("split", "data_dir")  # of tfds:NAME
SHARE = re.compile(r"-?\d*\.\d+")  # of images to hold out; any other value of test= is a folder


class DataError(AlaeError):
    """Images are missing, damaged or not as requested."""


@contextlib.contextmanager
def named(uri: str) -> Iterator[None]:
    """Adds --data=URI to errors within; those of storage become DataError."""
    flag = f"--data={uri}: "
    try:
        yield
    except StorageError as error:
        raise DataError(f"{flag}{error.why}.") from None
    except DataError as error:
        raise DataError(flag + str(error).removeprefix(flag)) from None


class Source(abc.ABC):
    """Images that can be read in any order, from several threads at once."""

    uri: str  # as given to --data
    channels: int  # 1 (grey) or 3 (RGB), the same for every image
    labels: np.ndarray | None = None  # int64 [len], or None if the images have no classes
    class_names: list[str] | None = None  # by label
    held_out: "Source | None" = None  # the images that training never sees

    def warn_about_sizes(self, resolution: int) -> None:  # noqa: B027 (optional)
        """Reports images that must be enlarged or lose most of their area; to be called once.

        Args:
            resolution: pixels that the images will be fitted to.
        """

    def check_batch(self, batch: int) -> None:  # noqa: B027 (optional)
        """Raises DataError if so many images are held out that too few are left for a batch."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def image(self, index: int) -> np.ndarray:
        """Image `index` (0 to len - 1), decoded and upright: uint8 [H, W, channels], any size;
        raises DataError if the image cannot be read."""

    def pyramid(self, index: int, resolutions: Sequence[int]) -> list[np.ndarray]:
        """Image `index` at several resolutions, each uint8 [resolution, resolution, channels].

        Each is fitted from the original; see `alae_tf.images.fit.fit`. Raises: see `image`.
        """
        image = self.image(index)
        return [fit(image, resolution) for resolution in resolutions]

    def fitted(self, index: int, resolution: int) -> np.ndarray:
        """Image `index` at one resolution: uint8 [resolution, resolution, channels]."""
        return self.pyramid(index, [resolution])[0]

    def take(self, indices: Iterable[int], resolution: int) -> np.ndarray:
        """Images at some indices at one resolution: uint8 [n, resolution, resolution, channels]."""
        return np.stack([self.fitted(int(index), resolution) for index in indices])


class Subset(Source):
    """The images of a source at some indices, int64 [n]."""

    def __init__(self, source: Source, indices: np.ndarray):
        self.uri, self.channels = source.uri, source.channels
        self.labels = None if source.labels is None else source.labels[indices]
        self.class_names = source.class_names
        self._source, self._indices = source, indices

    def warn_about_sizes(self, resolution: int) -> None:
        self._source.warn_about_sizes(resolution)

    def __len__(self) -> int:
        return len(self._indices)

    def image(self, index: int) -> np.ndarray:
        return self._source.image(int(self._indices[index]))

    def pyramid(self, index: int, resolutions: Sequence[int]) -> list[np.ndarray]:
        return self._source.pyramid(int(self._indices[index]), resolutions)


def evenly(source: Sized, count: int) -> np.ndarray:
    """Indices of `count` images spread evenly over a source, from 0 on: int64 [count], ascending.

    If the source has fewer images, some indices are repeated.
    """
    return np.linspace(0, len(source), count, endpoint=False).astype(int)


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A kind of data, which --data names by a URI NAME:ARGUMENT.

    To add a data source, write its file and one entry in `alae_tf.data.SCHEMES`.
    """

    form: str  # how the URI is written, for the help
    about: str  # a description of one line
    open: str  # "module:function": (uri, argument) → `Source`, imported when needed
    folder: Callable[[Path], Path] | None = None  # the argument's path → directory that must exist
    options: tuple[str, ...] = ()  # may follow a question mark in the argument, as name=value
    paths: tuple[str, ...] = ()  # the options whose values are paths
    archives: bool = False  # whether `folder` may be an archive, see `alae_tf.data.archive`
    mark: str = ""  # pattern of the files by which a directory of this kind is recognised


def check_channels(source: Source, channels: int, flag: str = "--data") -> None:
    """Raises DataError, naming the flag, unless images have the model's number of channels."""
    if source.channels != channels:
        folder = source.uri.partition("?")[0]
        other = f", or {flag}={folder}?channels={channels}" if folder.startswith("folder:") else ""
        how = f"Train with --image_channels={source.channels}{other}"
        kinds = f"{source.channels} channels, and the model takes {channels}"
        raise DataError(f"{flag}={source.uri}: its images have {kinds}. {how}.")


def warn_about_classes(source: Source, turning: Sequence[str]) -> None:
    """Reports flags that mirror or turn images of classes, which may change their class."""
    if source.labels is not None and turning:
        report(
            ", ".join(turning),
            "a mirrored or turned image, for example of a digit, may look like an image of another "
            "class. If yours do, use --flip=false and --augment_operations=colour.",
        )


def within_memory(source: Source, resolution: int) -> Source:
    """The images, thinned evenly if they would take more than `MOST_BYTES` of memory."""
    most = MOST_BYTES // (5 * resolution**2 * source.channels)
    return source if len(source) <= most else Subset(source, evenly(source, most))


def split_query(argument: str, allowed: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Splits "PATH?key=value&key=value" into the path and its options.

    The path may contain question marks: the options begin at the last question mark that is
    followed by an allowed key and an equals sign. For a path that itself ends like an option, add
    an option: "folder:/photos?test=1?channels=3". Raises DataError if an option is not allowed, or
    has no value.
    """
    if not allowed:
        return argument, {}
    keys = "|".join(map(re.escape, allowed))
    found = re.fullmatch(rf"(.*)\?((?:{keys})=.*)", argument, re.DOTALL)
    path, query = found.groups() if found else (argument, "")
    items = re.split(rf"&(?=(?:{keys})=)", query) if query else []
    options = {key: value for key, _, value in (item.partition("=") for item in items)}
    wrong = [f"{key}=" for key, value in options.items() if not value]
    if not found:
        wrong = re.findall(r"\?(\w+=[^/]*)$", path)
    if wrong:
        known = ", ".join(f"{name}=…" for name in allowed)
        raise DataError(f"option '{wrong[0]}' is unknown or has no value; the options: {known}.")
    return path, options


def local_path(path: str) -> Path:
    """The path in a URI, with ~ expanded; it need not exist. Raises DataError if the path is too
    long, unreadable or of an unknown user."""
    try:
        local = Path(path).expanduser()
        local.exists()
        return local
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be accessed ({why}).") from None


def existing_directory(path: str, archives: bool = False) -> Path:
    """The directory that a URI names, or with `archives` an archive; of a URL, a local copy,
    brought up to date. Raises DataError if it is neither, and StorageError if storage cannot be
    read."""
    if is_url(path):
        return remote.copied(path)
    directory = local_path(path)
    if archives and is_archive(directory):
        return directory
    if how := unpacking(directory):
        raise DataError(f"{directory} is an archive. {how}")
    if not directory.is_dir():
        kinds = f"a directory, a {' or an uncompressed '.join(ARCHIVES)} file"
        what = kinds if archives else "a directory"
        raise DataError(f"{directory.absolute()} is not {what}; it should hold the images.")
    return directory


def is_archive(path: Path) -> bool:
    """Whether `folder:` reads a file as a folder."""
    return path.suffix.lower() in ARCHIVES and path.is_file()


def unpacking(path: Path) -> str | None:
    """Instructions for unpacking a .zip or .tar file, or None if the path is not an archive."""
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
