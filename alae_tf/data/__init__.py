"""Images to train on, named by a URI."""

from __future__ import annotations

import importlib
import os
import pkgutil
import typing
from pathlib import Path

from alae_tf.data import remote
from alae_tf.data.source import (
    FOLDER_OPTIONS,
    SHARE,
    TFDS_OPTIONS,
    DataError,
    Scheme,
    Source,
    existing_directory,
    is_archive,
    local_path,
    named,
    split_query,
    unpacking,
)
from alae_tf.data.source import Subset as Subset
from alae_tf.data.source import check_channels as check_channels
from alae_tf.data.source import evenly as evenly
from alae_tf.data.source import warn_about_classes as warn_about_classes
from alae_tf.system.urls import is_url

if typing.TYPE_CHECKING:
    from alae_tf.data.pipeline import all_images as all_images
    from alae_tf.data.pipeline import batches as batches
    from alae_tf.data.pipeline import epoch_order as epoch_order
    from alae_tf.data.pipeline import fixed_images as fixed_images


def _of_records(path: Path) -> Path:
    return path if path.is_dir() else path.parent  # the last part may be a prefix


# The kinds of data by name. Other packages add their own; see `alae_tf.system.plugins`.
SCHEMES = {
    "mnist5k": Scheme(
        "mnist5k:", "5,000 MNIST digits; needs no network", "alae_tf.data.arrays:open_mnist5k"
    ),
    "idx": Scheme(
        "idx:DIR|URL",
        "files in MNIST's format, for example idx:/data/mnist",
        "alae_tf.data.arrays:open_idx",
        folder=Path,
        mark="train-images*",
    ),
    "folder": Scheme(
        "folder:DIR|URL[?channels=1&test=0.1&labels=folders]",
        "image files, for example folder:/data/faces; DIR may be a .zip or .tar file",
        "alae_tf.data.folder:FolderSource",
        folder=Path,
        options=FOLDER_OPTIONS,
        paths=("test",),
        archives=True,
    ),
    "tfds": Scheme(
        "tfds:NAME[/CONFIG][:VERSION][?split=train&data_dir=DIR]",
        "a data set of TensorFlow Datasets, for example tfds:mnist",
        "alae_tf.data.tfds_source:open_tfds",
        options=TFDS_OPTIONS,
        paths=("data_dir",),
    ),
    "tfrecord": Scheme(
        "tfrecord:DIR|URL[/PREFIX]",
        "the output of python -m alae_tf.prepare or of StyleGAN's tool",
        "alae_tf.data.tfrecord_source:open_tfrecord",
        folder=_of_records,
        mark="*.tfrecords*",
    ),
}


def forms() -> str:
    """A description of --data for messages, one line for each scheme."""
    lines = [f"  {scheme.form:<51}  {scheme.about}" for scheme in SCHEMES.values()]
    return "\n".join(["--data takes:", *lines])


def __getattr__(name: str) -> object:
    """Imports `pipeline`, which needs TensorFlow, on first use."""
    if name in ("all_images", "batches", "epoch_order", "fixed_images"):
        return getattr(importlib.import_module("alae_tf.data.pipeline"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def check(uri: str) -> None:
    """Checks a URI without importing TensorFlow or looking at the images; raises DataError if the
    URI is malformed, or its directory does not exist."""
    with named(uri):
        scheme, argument = parse(uri)
        path, _ = split_query(argument, scheme.options)
        if scheme.folder is not None and is_url(path):
            remote.located(path) if scheme.folder is _of_records else remote.listing(path)
        elif scheme.folder is not None:
            existing_directory(str(scheme.folder(local_path(path))), scheme.archives)


def absolute(uri: str, start: str | Path) -> str:
    """A URI with absolute paths; `start` is the directory that its paths are relative to. A URI of
    an unknown kind is returned unchanged. Raises DataError if an option is unknown or has no value.
    """
    name, _, argument = uri.partition(":")
    scheme = SCHEMES.get(name)
    if not argument or scheme is None:
        return uri
    with named(uri):
        path, options = split_query(argument, scheme.options)
    if scheme.folder is not None:
        path = _absolute(path, start)
    for option in options.keys() & set(scheme.paths):
        if option == "test" and SHARE.fullmatch(options[option]):
            continue
        options[option] = _absolute(options[option], start)
    query = "&".join(f"{option}={value}" for option, value in options.items())
    return f"{name}:{path}" + (f"?{query}" if query else "")


def _absolute(path: str, start: str | Path) -> str:
    return path if is_url(path) else os.path.join(start, os.path.expanduser(path))


def is_uri(text: str) -> bool:
    """Whether a string is a URI and not the name of an existing file."""
    scheme = text.partition(":")[0]
    return ":" in text and scheme in SCHEMES and not Path(text).exists()


def open_source(uri: str) -> Source:
    """Opens the training images that a URI names, with held-out images as their `held_out`. Raises
    DataError if the URI is malformed, or the images cannot be read."""
    with named(uri):
        scheme, argument = parse(uri)
        return pkgutil.resolve_name(scheme.open)(uri, argument)


def parse(uri: str) -> tuple[Scheme, str]:
    """The scheme and the argument of a URI. Raises DataError if the URI is malformed; the message
    suggests a correct one."""
    name, colon, argument = uri.partition(":")
    if scheme := SCHEMES.get(name):
        if not colon:
            raise DataError(f"the colon is missing; did you mean {uri}:?\n{forms()}")
        if bool(argument) == scheme.form.endswith(":"):
            what = "nothing may" if argument else "something must"
            raise DataError(f"{what} follow the colon.\n{forms()}")
        return scheme, argument
    if os.sep in name or name.startswith((".", "~")) or (uri and Path(uri).exists()):
        path = local_path(uri)
        if is_archive(path):
            raise DataError(f"is only a path; did you mean folder:{uri}?\n{forms()}")
        if how := unpacking(path):
            raise DataError(f"is an archive. {how}\n{forms()}")
        directory = path.parent if path.is_file() else path
        marks = {name: scheme.mark for name, scheme in SCHEMES.items() if scheme.mark}
        recognised = [name for name, mark in marks.items() if any(directory.glob(mark))]
        meant = f"{(recognised or ['folder'])[0]}:{directory if path.is_file() else uri}"
        raise DataError(f"is only a path; did you mean {meant}?\n{forms()}")
    raise DataError(f"'{name}' is not a known kind of data.\n{forms()}")
