"""Images to train on, named by one URI."""

from __future__ import annotations

import importlib
import os
import pkgutil
import typing
from pathlib import Path

from alae_tf.data.source import (
    FOLDER_OPTIONS,
    DataError,
    Scheme,
    Source,
    Subset,
    check_channels,
    evenly,
    existing_directory,
    local_path,
    split_query,
    unpacking,
)

if typing.TYPE_CHECKING:
    from alae_tf.data.pipeline import all_images, batches, epoch_order, fixed_images

__all__ = [
    "SCHEMES",
    "DataError",
    "Scheme",
    "Source",
    "Subset",
    "absolute",
    "all_images",
    "batches",
    "check",
    "check_channels",
    "epoch_order",
    "evenly",
    "fixed_images",
    "open_source",
]


def _folder(uri: str, argument: str) -> Path:
    path, _ = split_query(uri, argument, FOLDER_OPTIONS)
    return local_path(uri, path)


def _of_records(uri: str, argument: str) -> Path:
    path = local_path(uri, argument)
    return path if path.is_dir() else path.parent  # the last part may be a prefix


# What --data takes, by scheme. Other packages add their own; see `alae_tf.system.plugins`.
SCHEMES = {
    "mnist5k": Scheme(
        "mnist5k:", "5,000 MNIST digits that need no network", "alae_tf.data.arrays:open_mnist5k"
    ),
    "idx": Scheme(
        "idx:DIR",
        "files in MNIST's format, as idx:/data/mnist",
        "alae_tf.data.arrays:open_idx",
        folder=local_path,
        mark="train-images*",
    ),
    "folder": Scheme(
        "folder:DIR[?channels=1&test=DIR&labels=folders]",
        "image files, as folder:/data/faces",
        "alae_tf.data.folder:FolderSource",
        folder=_folder,
    ),
    "tfds": Scheme(
        "tfds:NAME[/CONFIG][:VERSION][?data_dir=DIR]",
        "a set of TensorFlow Datasets, as tfds:mnist",
        "alae_tf.data.tfds_source:open_tfds",
    ),
    "tfrecord": Scheme(
        "tfrecord:DIR[/PREFIX]",
        "what python -m alae_tf.prepare or StyleGAN's tool wrote",
        "alae_tf.data.tfrecord_source:open_tfrecord",
        folder=_of_records,
        mark="*.tfrecords*",
    ),
}


def forms() -> str:
    """What --data takes, a line for each scheme."""
    lines = [f"  {scheme.form:<47}  {scheme.about}" for scheme in SCHEMES.values()]
    return "\n".join(["What --data takes:", *lines])


def __getattr__(name: str) -> object:
    """What is of `pipeline`, which imports TensorFlow; opening a source does not."""
    if name in ("all_images", "batches", "epoch_order", "fixed_images"):
        return getattr(importlib.import_module("alae_tf.data.pipeline"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check(uri: str) -> None:
    """Refuses in a moment, before TensorFlow is imported, a URI that cannot be opened.

    Raises:
        DataError: not such a URI, or its directory does not exist. `open_source` refuses the rest.
    """
    scheme, argument = parse(uri)
    if scheme.folder is not None:
        existing = scheme.folder(uri, argument)
        existing_directory(uri, str(existing), "It should be one that holds the images.")


def absolute(uri: str, start: str | Path) -> str:
    """A URI whose relative paths, if it has any, are made absolute.

    Args:
        uri: as `open_source` takes it.
        start: the directory that they are relative to.
    """
    scheme, _, argument = uri.partition(":")
    allowed = {"folder": FOLDER_OPTIONS, "tfds": ("data_dir",)}.get(scheme)
    if not argument or scheme not in SCHEMES:
        return uri
    path, options = split_query(uri, argument, allowed) if allowed else (argument, {})
    if scheme != "tfds":
        path = os.path.join(start, os.path.expanduser(path))
    for name in {"test", "data_dir"} & options.keys():
        options[name] = os.path.join(start, os.path.expanduser(options[name]))
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{scheme}:{path}" + (f"?{query}" if query else "")


def is_uri(text: str) -> bool:
    """Whether a text names a set of images, not a file."""
    scheme = text.partition(":")[0]
    return ":" in text and scheme in SCHEMES and not Path(text).exists()


def open_source(uri: str) -> Source:
    """Opens the images that a URI names; the training part, with `held_out` beside it.

    Args:
        uri: see `SCHEMES`.

    Raises:
        DataError: not such a URI, or what it names cannot be read.
    """
    scheme, argument = parse(uri)
    return pkgutil.resolve_name(scheme.open)(uri, argument)


def parse(uri: str) -> tuple[Scheme, str]:
    """The scheme of a URI, and what follows its colon.

    Raises:
        DataError: not such a URI; the message has a guess at what was meant.
    """
    name, colon, argument = uri.partition(":")
    if name in SCHEMES:
        scheme = SCHEMES[name]
        if not colon:
            raise DataError(f"--data={uri}: the colon is missing; did you mean {uri}:?\n{forms()}")
        if bool(argument) == scheme.form.endswith(":"):
            what = "takes nothing after" if argument else "nothing follows"
            raise DataError(f"--data={uri}: {what} the colon.\n{forms()}")
        return scheme, argument
    if os.sep in name or name.startswith((".", "~")) or (uri and Path(uri).exists()):
        path = local_path(uri, uri)
        if how := unpacking(path):
            raise DataError(f"--data={uri}: is an archive. {how}\n{forms()}")
        directory = path.parent if path.is_file() else path
        marks = {name: scheme.mark for name, scheme in SCHEMES.items() if scheme.mark}
        held = [name for name, mark in marks.items() if any(directory.glob(mark))]
        meant = f"{(held or ['folder'])[0]}:{directory if path.is_file() else uri}"
        raise DataError(f"--data={uri}: a path alone; did you mean {meant}?\n{forms()}")
    raise DataError(f"--data={uri}: '{name}' is no kind of data.\n{forms()}")
