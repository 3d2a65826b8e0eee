"""Data sets of TensorFlow Datasets (TFDS), with random access."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np

from alae_tf.data.records import RecordFiles
from alae_tf.data.source import TFDS_OPTIONS, DataError, Source, split_query
from alae_tf.images.read import read_image
from alae_tf.system.errors import report

if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow_datasets.core.splits import SplitInfo, SubSplitInfo

RETRIES = 2  # of a download; TFDS' default of 10 takes 3.5 minutes without a network


class TfdsSource(Source):
    """One prepared split, for example "train", or parts of splits, such as "train[:10%]". Images
    are decoded as in every other source, not by the builder's features.

    Attributes:
        labels: int64 [len], the feature `label` if it is a ClassLabel, else None; also None, with a
            warning, if the set hides some labels (as -1). The first use reads the whole split.
        class_names: the names of the feature `label`, if it is a ClassLabel.

    Raises:
        DataError: the data set has no such split or no image feature, its file format has no
            random access, or its files are incomplete.
    """

    def __init__(self, uri: str, builder, split: str):
        import tensorflow_datasets as tfds

        self.uri, features = uri, builder.info.features
        self._key = _image_feature(features)
        self.channels = 1 if features[self._key].shape[-1] == 1 else 3
        self._records, self._indices = _open_records(builder, split)
        label = dict(features.items()).get("label")
        is_class = isinstance(label, tfds.features.ClassLabel)
        self.class_names = list(label.names) if is_class else None

    def __len__(self) -> int:
        return len(self._indices)

    def image(self, index: int) -> np.ndarray:
        try:
            file = io.BytesIO(self._record(index)[self._key].bytes_list.value[0])
            return read_image(file, self.channels)
        except Exception as error:
            raise DataError(
                f"--data={self.uri}: the '{self._key}' of record {index} cannot be read ({error}). "
                "Delete the prepared data set and prepare it again."
            ) from None

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        if self.class_names is None:
            return None
        records = map(self._record, range(len(self)))
        values = (record["label"].int64_list.value[0] for record in records)
        labels = np.fromiter(values, np.int64, len(self))
        if labels.min() < 0:
            hidden = f"{np.sum(labels < 0):,} of {len(labels):,} labels are hidden"
            report(self.uri, f"{hidden}; its labels are ignored")
            return None
        return labels

    def values(self, name: str) -> np.ndarray:
        """A numeric feature, for example "attributes/Smiling": float64 [len]; raises DataError if
        the first record has no feature of that name with one number."""
        single = [
            key
            for key, feature in sorted(self._record(0).items())
            if len(feature.int64_list.value) + len(feature.float_list.value) == 1
        ]
        if name not in single:
            raise DataError(
                f"--data={self.uri}: no numeric feature '{name}'; the numeric features are "
                f"{', '.join(single) or 'none'}."
            )
        features = (self._record(index)[name] for index in range(len(self)))
        numbers = ((*f.int64_list.value, *f.float_list.value)[0] for f in features)
        return np.fromiter(numbers, np.float64, len(self))

    def _record(self, index: int) -> Mapping[str, tf.train.Feature]:
        import tensorflow as tf

        record = self._records[int(self._indices[index])]
        return tf.train.Example.FromString(record).features.feature


def open_tfds(uri: str, argument: str) -> TfdsSource:
    """`tfds:NAME[/CONFIG][:VERSION]`, a data set by its TFDS name; its split "train".

    `?split=` names another split, or parts of splits in TFDS' notation: "train[:10%]",
    "train+extra". The set is read from, or prepared in, `?data_dir=DIR`; by default, in the
    directory that the environment variable TFDS_DATA_DIR names, or else in ~/tensorflow_datasets.
    The split "test" is held out, or else "validation", unless it is itself trained on. Raises
    DataError if TFDS does not know the data set or cannot prepare it; see also `TfdsSource`.
    """
    import tensorflow_datasets as tfds

    name, options = split_query(argument, TFDS_OPTIONS)
    data_dir = options.get("data_dir") or os.environ.get("TFDS_DATA_DIR")
    if not data_dir and os.path.expanduser("~") == "~":
        raise DataError("there is no home directory for TFDS' sets; give ?data_dir=DIR.")
    try:
        with _quiet():
            builder = tfds.builder(name, data_dir=data_dir and os.path.expanduser(data_dir))
            prepared = builder.is_prepared()
    except Exception as error:  # of several types: unknown name, config or version
        where = f" in {data_dir}" if data_dir else ""
        raise DataError(
            f"TFDS cannot open it{where} ({_why(error)}). Names are listed at "
            "https://www.tensorflow.org/datasets/catalog; other sets need ?data_dir=DIR."
        ) from None
    if not prepared:
        report(uri, f"not in {builder.data_dir}; TFDS will download and prepare it there")
        try:
            with _quiet():
                builder.download_and_prepare()
        except Exception as error:  # network, checksum, manual download, disk, missing packages …
            raise DataError(
                f"TFDS cannot prepare it in {builder.data_dir} ({_why(error)}). Prepare it on a "
                f"machine with a network (tfds build {name}), copy the directory, and name its "
                "root with ?data_dir=DIR. Some data sets must be downloaded by hand first."
            ) from None
    splits, split = builder.info.splits, options.get("split", "train")
    source = TfdsSource(uri, builder, split)
    used = _files(_split(builder, split))
    for other in ("test", "validation"):
        if other in splits and splits[other].num_examples and not used & _files(splits[other]):
            source.held_out = TfdsSource(uri, builder, other)
            break
    return source


def _split(builder, split: str) -> SplitInfo | SubSplitInfo:
    """A split, or parts of splits; raises DataError if it does not exist or is empty."""
    splits = builder.info.splits
    try:
        info = splits[split]
    except Exception as error:  # TFDS' parser raises many types
        names = ", ".join(splits)
        why = "" if split == "train" else f" ({_why(error)})"
        raise DataError(
            f"no split '{split}'{why}; the splits are {names}. Choose some of these, or a part: "
            f"?split={next(iter(splits), 'NAME')}[:90%]."
        ) from None
    if not info.num_examples:
        raise DataError(f"split '{split}' has no images.")
    return info


def _files(info: SplitInfo | SubSplitInfo) -> set[str]:
    """The paths of the files of a split."""
    return {str(part.filename) for part in info.file_instructions}


def _image_feature(features) -> str:
    """The name of the image feature: `image`, or else the first one."""
    import tensorflow_datasets as tfds

    names = [name for name, kind in features.items() if isinstance(kind, tfds.features.Image)]
    if not names:
        raise DataError(f"no image feature, only {', '.join(features)}.")
    name = "image" if "image" in names else names[0]
    if features[name].np_dtype not in (np.uint8, np.uint16):
        kind = np.dtype(features[name].np_dtype)
        raise DataError(f"feature '{name}' has pixels of {kind}, expected uint8 or uint16.")
    return name


def _open_records(builder, split: str) -> tuple[Sequence[bytes] | RecordFiles, np.ndarray]:
    """Records, and the indices of those of the split."""
    import tensorflow_datasets as tfds

    info = _split(builder, split)
    format_ = builder.info.file_format.value
    if format_ == "array_record":
        method = tfds.decode.DeserializeMethod.RAW_BYTES
        records = builder.as_data_source(split, deserialize_method=method)
        return records, np.arange(len(records))
    if format_ != "tfrecord":
        raise DataError(
            f"the file format {format_} has no random access. Prepare the data set with "
            "file_format=tfrecord or array_record."
        )
    parts = info.file_instructions
    records = RecordFiles([part.filename for part in parts])
    expected = sum(part.examples_in_shard for part in parts)
    if len(records) != expected:
        raise DataError(
            f"split '{split}' has {len(records):,} records instead of "
            f"{expected:,}. Delete {builder.data_dir} and prepare it again."
        )
    chosen, start = [], 0
    for part in parts:
        chosen.append(start + np.arange(part.skip, part.skip + part.take))
        start += part.examples_in_shard
    return records, np.concatenate(chosen)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Limits TFDS' download attempts and its messages; terminals still show its progress bars."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    # TFDS warns through absl, urllib3 at each failed attempt.
    loggers = [logging.getLogger(name) for name in ("absl", "urllib3.connectionpool")]
    before = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    retries, downloader.MAX_RETRIES = downloader.MAX_RETRIES, RETRIES  # there is no setting for it
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
        for logger, level in before:
            logger.setLevel(level)  # not after a failure: TFDS' threads keep running for a while
    finally:
        downloader.MAX_RETRIES = retries
        tfds.enable_progress_bar()


def _why(error: Exception) -> str:
    """The type and first line of an error; for a failed download, the host."""
    address = getattr(getattr(error, "request", None), "url", None)
    if isinstance(error, OSError) and address:  # raised by requests, which TFDS uses
        return f"{urlsplit(address).hostname} is unreachable"
    first = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}"
