"""Images to train on, named by one URI."""

from __future__ import annotations

import importlib
import os
import typing
from pathlib import Path

from alae_tf.data.source import (
    FOLDER_OPTIONS,
    DataError,
    Source,
    Subset,
    check_channels,
    existing_directory,
    local_path,
    split_query,
)

if typing.TYPE_CHECKING:
    from alae_tf.data.pipeline import all_images, batches, epoch_order, fixed_images

__all__ = [
    "DataError",
    "Source",
    "Subset",
    "absolute",
    "all_images",
    "batches",
    "check",
    "check_channels",
    "epoch_order",
    "fixed_images",
    "open_source",
]

SCHEMES = {  # by module and function; each is imported when it is asked for
    "mnist5k": ("arrays", "open_mnist5k"),
    "idx": ("arrays", "open_idx"),
    "folder": ("folder", "FolderSource"),
    "tfds": ("tfds_source", "open_tfds"),
    "tfrecord": ("tfrecord_source", "open_tfrecord"),
}
FORMS = """What --data takes:
  mnist5k:                           5,000 MNIST digits that need no network
  idx:DIR                            files in MNIST's format, as idx:/data/mnist
  folder:DIR[?channels=1&test=DIR&labels=folders]  PNG, JPEG and WebP files, as folder:/data/faces
  tfds:NAME[/CONFIG][:VERSION][?data_dir=DIR]    a set of TensorFlow Datasets, as tfds:mnist
  tfrecord:DIR[/PREFIX]              what python -m alae_tf.prepare or StyleGAN's tool wrote"""


def __getattr__(name: str) -> object:
    """What is of `pipeline`, which imports TensorFlow; opening a source does not."""
    if name in ("all_images", "batches", "epoch_order", "fixed_images"):
        return getattr(importlib.import_module("alae_tf.data.pipeline"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check(uri: str) -> None:
    """Tells in a moment, before TensorFlow is imported, a URI that cannot be opened.

    Raises:
        DataError: not such a URI, or its directory is not there; the rest `open_source` tells.
    """
    scheme, colon, argument = uri.partition(":")
    if uri == "mnist5k:" or (scheme == "tfds" and argument):
        return
    if not colon or not argument or scheme not in ("folder", "idx", "tfrecord"):
        open_source(uri)  # which refuses it
        return
    if scheme == "folder":
        argument, _ = split_query(uri, argument, FOLDER_OPTIONS)
    path = local_path(uri, argument)
    if scheme == "tfrecord" and not path.is_dir():  # the last part may be a prefix
        path = path.parent
    existing_directory(uri, str(path), "It should be one that holds the images.")


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
        uri: `mnist5k:`, `idx:DIR`, `folder:DIR`, `tfds:NAME` or `tfrecord:DIR`; see
            `FORMS`.

    Raises:
        DataError: not such a URI, or what it names cannot be read.
    """
    scheme, colon, argument = uri.partition(":")
    if colon and scheme in SCHEMES:
        if argument or scheme == "mnist5k":
            module, function = SCHEMES[scheme]
            source = importlib.import_module(f"alae_tf.data.{module}")
            return getattr(source, function)(uri, argument)
        raise DataError(f"--data={uri}: nothing follows the colon.\n{FORMS}")
    if scheme in SCHEMES:
        raise DataError(f"--data={uri}: the colon is missing; did you mean {uri}:?\n{FORMS}")
    if os.sep in scheme or scheme.startswith((".", "~")) or (uri and Path(uri).exists()):
        kinds = {"idx": "train-images*", "tfrecord": "*.tfrecords*"}
        path = local_path(uri, uri)
        held = [kind for kind, names in kinds.items() if path.is_dir() and any(path.glob(names))]
        meant = f"{(held or ['folder'])[0]}:{uri}"
        raise DataError(f"--data={uri}: a path alone; did you mean {meant}?\n{FORMS}")
    raise DataError(f"--data={uri}: '{scheme}' is no kind of data.\n{FORMS}")
