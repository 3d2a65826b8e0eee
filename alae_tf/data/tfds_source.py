"""Data sets of TensorFlow Datasets, at random access."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from alae_tf.data.records import RecordFiles
from alae_tf.data.source import DataError, Source, report, split_query
from alae_tf.images.read import read_image

if TYPE_CHECKING:
    import tensorflow as tf

RETRIES = 2  # of a download; TFDS' own 10 take three and a half minutes without a network


class TfdsSource(Source):
    """One split of a prepared data set.

    Records are parsed and decoded here and not by the builder's features: only the image is
    decoded (and no image at all for the labels), by the same rules as every other source.

    Args:
        uri: as typed.
        builder: tfds.core.DatasetBuilder, prepared.
        split: such as "train".

    Attributes:
        labels: int64 [len] of the feature `label` if that is a ClassLabel, else None. The first
            use reads the whole split.

    Raises:
        DataError: no image feature; files that cannot be read at random, torn or incomplete.
    """

    def __init__(self, uri: str, builder, split: str):
        self.uri = uri
        self._features = builder.info.features
        self._key = _image_feature(uri, self._features)
        self.channels = 1 if self._features[self._key].shape[-1] == 1 else 3
        self._records = _open_records(uri, builder, split)

    def __len__(self) -> int:
        return len(self._records)

    def image(self, index: int) -> np.ndarray:
        try:
            file = io.BytesIO(self._value(index, self._key).bytes_list.value[0])
            return read_image(file, self.channels)
        except DataError as error:
            raise DataError(f"--data={self.uri}: {error}") from None
        except Exception as error:
            raise DataError(
                f"--data={self.uri}: the '{self._key}' of record {index} cannot be read ({error}). "
                "Delete the prepared data set and prepare it again."
            ) from None

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        import tensorflow_datasets as tfds

        if not isinstance(dict(self._features.items()).get("label"), tfds.features.ClassLabel):
            return None
        values = (self._value(index, "label").int64_list.value[0] for index in range(len(self)))
        return np.fromiter(values, np.int64, len(self))

    def values(self, name: str) -> np.ndarray:
        """A feature of one number, as "attributes/Smiling": float64 [len].

        Raises:
            DataError: there is none of that name; lists those of the first record.
        """
        import tensorflow as tf

        first = tf.train.Example.FromString(self._records[0]).features.feature
        single = [
            key
            for key, feature in sorted(first.items())
            if len(feature.int64_list.value) + len(feature.float_list.value) == 1
        ]
        if name not in single:
            raise DataError(
                f"--data={self.uri}: no feature '{name}' of one number; it has "
                f"{', '.join(single) or 'none'}."
            )
        features = (self._value(index, name) for index in range(len(self)))
        numbers = ((*f.int64_list.value, *f.float_list.value)[0] for f in features)
        return np.fromiter(numbers, np.float64, len(self))

    def _value(self, index: int, key: str) -> tf.train.Feature:
        import tensorflow as tf

        return tf.train.Example.FromString(self._records[index]).features.feature[key]


def open_tfds(uri: str, argument: str) -> TfdsSource:
    """`tfds:NAME[/CONFIG][:VERSION]`, a data set by its TFDS name; its split "train".

    It lies in, or is prepared into, `?data_dir=DIR` if given, else the directory in the environment
    variable TFDS_DATA_DIR, else ~/tensorflow_datasets. Held out: split "test", else "validation".

    Raises:
        DataError: TFDS does not know it or cannot prepare it; see also `TfdsSource`.
    """
    name, options = split_query(uri, argument, ("data_dir",))
    import tensorflow_datasets as tfds

    data_dir = options.get("data_dir") or os.environ.get("TFDS_DATA_DIR")
    try:
        with _few_words():
            builder = tfds.builder(name, data_dir=data_dir and os.path.expanduser(data_dir))
            prepared = builder.is_prepared()
    except Exception as error:  # of several types: a name, config or version not found
        raise DataError(
            f"--data={uri}: TFDS cannot open it ({_first_line(error)}) Write "
            "tfds:NAME[/CONFIG][:VERSION] with a name of https://www.tensorflow.org/datasets/catalog"
            ", or of a data set prepared in ?data_dir=DIR."
        ) from None
    if not prepared:
        report(f"{uri}: not in {builder.data_dir}; TFDS downloads and prepares it there")
        try:
            with _few_words():
                builder.download_and_prepare()
        except Exception as error:  # network, checksum, manual download, disk, missing packages …
            raise DataError(
                f"--data={uri}: TFDS cannot prepare it in {builder.data_dir} ({_why(error)}) "
                f"Prepare it where there is a network (tfds build {name}), copy the directory, and "
                "name its root by ?data_dir=DIR; some data sets must be fetched by hand first, as "
                "their page in TFDS' catalog says."
            ) from None
    splits = builder.info.splits
    if "train" not in splits:
        raise DataError(f"--data={uri}: has no split 'train', only {', '.join(splits) or 'none'}.")
    source = TfdsSource(uri, builder, "train")
    for split in ("test", "validation"):
        if split in splits and splits[split].num_examples:
            source.held_out = TfdsSource(uri, builder, split)
            break
    return source


def _image_feature(uri: str, features) -> str:
    """The name of the image feature: `image` if there are several and one is called so."""
    import tensorflow_datasets as tfds

    names = [name for name, kind in features.items() if isinstance(kind, tfds.features.Image)]
    if not names:
        raise DataError(
            f"--data={uri}: has no image feature, only {', '.join(features)}. A data set of images "
            "is needed."
        )
    name = "image" if "image" in names else names[0]
    if features[name].np_dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"--data={uri}: feature '{name}' has pixels of {np.dtype(features[name].np_dtype)}. "
            "Only uint8 and uint16 can be read."
        )
    return name


def _open_records(uri: str, builder, split: str) -> Sequence[bytes] | RecordFiles:
    import tensorflow_datasets as tfds

    info = builder.info.splits[split]
    format_ = builder.info.file_format.value
    if format_ == "array_record":
        method = tfds.decode.DeserializeMethod.RAW_BYTES
        return builder.as_data_source(split, deserialize_method=method)
    if format_ != "tfrecord":
        raise DataError(
            f"--data={uri}: is stored as {format_}, which has no random access here. "
            "Prepare it with file_format=tfrecord or array_record."
        )
    try:
        records = RecordFiles(info.filepaths)
    except DataError as error:
        raise DataError(f"--data={uri}: {error}") from None
    if len(records) != info.num_examples:
        raise DataError(
            f"--data={uri}: split '{split}' has {len(records):,} records instead of "
            f"{info.num_examples:,}. Delete {builder.data_dir} and prepare it again."
        )
    return records


@contextlib.contextmanager
def _few_words() -> Iterator[None]:
    """TFDS gives up soon without a network, and says no more than its bars on a terminal."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    # Of absl TFDS' own warnings, of urllib3 one for each failed try.
    loggers = [logging.getLogger(name) for name in ("absl", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    retries = downloader.MAX_RETRIES
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    downloader.MAX_RETRIES = RETRIES  # private, and there is no setting for it
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)  # not after a failure: TFDS' threads go on for a while
    finally:
        downloader.MAX_RETRIES = retries
        tfds.enable_progress_bar()


def _why(error: Exception) -> str:
    """Why a preparation failed, in a line: of a download that failed, the host."""
    address = getattr(getattr(error, "request", None), "url", None)
    if isinstance(error, OSError) and address:  # what requests raises, which TFDS uses
        return f"{urlsplit(address).hostname} cannot be reached."
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return f"{str(error).strip().splitlines()[0].rstrip('.')}." if str(error).strip() else "."
