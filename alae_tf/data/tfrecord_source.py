"""TFRecord files with the images at several resolutions: ours, StyleGAN's and the authors'."""

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from alae_tf.cloud.ranges import RemoteFile
from alae_tf.data import remote
from alae_tf.data import tfrecord_format as format_
from alae_tf.data.prepared import FILE, MANIFEST, WORK
from alae_tf.data.records import RecordFiles, count_records
from alae_tf.data.source import DataError, Source, local_path, named
from alae_tf.images.fit import fit
from alae_tf.system import schema
from alae_tf.system.errors import report
from alae_tf.system.files import member
from alae_tf.system.urls import is_url

Files = Mapping[str, Path | RemoteFile]
MOST_CLASSES = 2**20
AGAIN = "Copy the files again, or prepare them again (python -m alae_tf.prepare)."
PART = {  # see `schema`; of the manifest
    "images": int,
    "files": {str: {"bytes": int}},
    "labels": ({"file": str}, None),
}


class TfrecordSource(Source):
    """The files PREFIX-rNN.tfrecords[.PPP] of one directory, at all their resolutions.

    `files` are the directory's TFRecords by name. If they are in storage, `directory` is a local
    copy of the small files beside them.

    An image is read from the files of the requested resolution. Without such files it is fitted
    from the next higher resolution, or else from the highest. The files of a resolution are indexed
    at first use. With `manifest`, the entry of dataset.json for these files, counts and sizes are
    checked at opening; the checksums are not.

    Attributes:
        resolutions: pixels, ascending.
        labels: from the manifest's file, or from StyleGAN's PREFIX-rxx.labels, or from the records'
            feature `label` (the first use then reads all records of the lowest resolution). None
            if there are no labels.

    Raises:
        DataError: files are missing, cut short or not as in the manifest; the resolutions hold
            different numbers of images; the first record is not an image.
    """

    def __init__(
        self, uri: str, directory: Path, files: Files, prefix: str, manifest: dict | None = None
    ):
        self.uri = uri
        self._directory, self._prefix, self._manifest = directory, prefix, manifest
        self._paths = self._find(files)
        self.resolutions = sorted(self._paths)
        self._opened: dict[int, RecordFiles] = {}
        self._lock = threading.Lock()
        self._size = self._count() if manifest is None else self._check_files(manifest)
        self.channels = self._stored(0, self.resolutions[0], None).shape[2]

    def __len__(self) -> int:
        return self._size

    def image(self, index: int) -> np.ndarray:
        return self._stored(index, self.resolutions[-1], self.channels)

    def warn_about_sizes(self, resolution: int) -> None:
        largest = self.resolutions[-1]
        if resolution > largest:
            report(self.uri, f"images of {largest} px will be enlarged to {resolution}")

    def pyramid(self, index: int, resolutions: Sequence[int]) -> list[np.ndarray]:
        largest, images = self.resolutions[-1], []
        for resolution in resolutions:
            stored = next((r for r in self.resolutions if r >= resolution), largest)
            image = self._stored(index, stored, self.channels)
            images.append(image if stored == resolution else fit(image, resolution))
        return images

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        with named(self.uri):
            if self._manifest is not None:
                entry = self._manifest["labels"]
                return self._read_labels(entry["file"]) if entry else None
            beside = f"{self._prefix}-rxx.labels"
            if (self._directory / beside).is_file():
                return self._read_labels(beside)
            records = self._records(self.resolutions[0])
            if format_.label(records[0]) is None:
                return None
            labels = [format_.label(record) for record in records]
            return None if None in labels else np.array(labels, np.int64)

    def _find(self, files: Files) -> dict[int, list[Path | RemoteFile]]:
        """The files by resolution, in the order of their parts."""
        parts: dict[int, list[tuple[int, Path | RemoteFile]]] = {}
        for name, path in sorted(files.items()):
            match = FILE.fullmatch(name)
            if match and match["prefix"] == self._prefix:
                found = parts.setdefault(2 ** int(match["log2"]), [])
                found.append((int(match["part"] or -1), path))  # -1: one file without parts
        for resolution, found in parts.items():
            found.sort(key=lambda each: each[0])
            if [part for part, _ in found] not in ([-1], list(range(len(found)))):
                names = ", ".join(path.name for _, path in found)
                where = f"missing or of two sets at {resolution} px: {names}"
                raise DataError(f"parts are {where}; number them from .000 without a gap.")
        return {r: [path for _, path in found] for r, found in parts.items()}

    def _count(self) -> int:
        """The number of images."""
        counts = {r: sum(map(count_records, paths)) for r, paths in self._paths.items()}
        if len(set(counts.values())) > 1:  # perhaps because their records differ in length
            counts = {r: len(RecordFiles(paths)) for r, paths in self._paths.items()}
        if len(set(counts.values())) > 1 or not min(counts.values()):
            first = self._paths[self.resolutions[0]][0].name
            held = ", ".join(f"{counts[r]:,} at {r} px" for r in self.resolutions)
            right = "every resolution must have the same number of images, at least 1"
            raise DataError(f"{first} …: {right}; got {held}. {AGAIN}")
        return min(counts.values())

    def _check_files(self, manifest: dict) -> int:
        """Compares the files with the manifest; returns the number of images."""
        files = manifest["files"]
        found = {path.name: path for paths in self._paths.values() for path in paths}
        for name in files.keys() ^ found.keys():
            where = "does not exist" if name in files else f"is not in {MANIFEST}"
            raise DataError(f"{name} {where}. {AGAIN}")
        for name, path in found.items():
            size = path.size if isinstance(path, RemoteFile) else path.stat().st_size
            right = files[name]["bytes"]
            if size != right:
                raise DataError(f"{name} has {size:,} bytes instead of {right:,}. {AGAIN}")
        return manifest["images"]

    def _read_labels(self, name: str) -> np.ndarray | None:
        """The labels in a file of class numbers, or of one-hot rows, as StyleGAN's tool writes it.

        None, with a warning, if it does not give each image exactly one class.
        """
        try:
            path = member(self._directory, name, follow=False)
            if path.exists() and not path.is_file():
                raise ValueError("not a regular file")
            # Mapped: a header that declares more than the file holds takes no memory.
            labels = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(labels, np.ndarray):
                raise ValueError("an archive of arrays")
        except Exception as error:  # NumPy raises many types for a damaged header
            raise DataError(f"{name} cannot be read ({error}). {AGAIN}") from None
        if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2) or len(labels) != len(self):
            held = f"{labels.dtype} {list(labels.shape)}"
            wanted = f"numbers for {len(self):,} images"
            raise DataError(f"{name} holds {held} instead of {wanted}. {AGAIN}")
        if labels.ndim == 2:
            valid = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
            labels = labels.argmax(axis=1) if valid else labels
        else:
            valid = np.isin(labels, np.arange(MOST_CLASSES)).all()
        if not valid:
            report(self.uri, f"{name} does not give each image one class; it is ignored")
            return None
        return labels.astype(np.int64)

    def _stored(self, index: int, resolution: int, channels: int | None) -> np.ndarray:
        """Image `index` in the files of a resolution: uint8 [resolution, resolution, C];
        `channels`: the expected C, or None for any."""
        with named(self.uri):
            records = self._records(resolution)
            record = records[index]
            try:
                image = format_.from_record(record)
            except ValueError as error:
                raise DataError(f"{records.place(index)} {error}. {AGAIN}") from None
            wanted = (resolution, resolution, channels or image.shape[2])
            if image.shape != wanted:
                held = f"{records.place(index)} holds an image of {list(image.shape)}"
                raise DataError(
                    f"{held} instead of {list(wanted)} (height, width, channels). {AGAIN}"
                )
            return image

    def _records(self, resolution: int) -> RecordFiles:
        with self._lock:
            if resolution not in self._opened:
                records = RecordFiles(self._paths[resolution])
                if len(records) != self._size:
                    held = f"{len(records):,} images at {resolution} px"
                    raise DataError(f"{held} instead of {self._size:,}. {AGAIN}")
                self._opened[resolution] = records
            return self._opened[resolution]


def open_tfrecord(uri: str, argument: str) -> TfrecordSource:
    """`tfrecord:DIR`, or `tfrecord:DIR/PREFIX` if DIR holds several sets.

    If DIR holds exactly the sets `train` and `test`, `test` is held out; likewise `celeba-test`
    beside `celeba` or `celeba-train`. Raises DataError if DIR holds no TFRecords, or several sets,
    or an unfinished preparation; see also `TfrecordSource`.
    """
    directory, prefix, files = remote.records(argument) if is_url(argument) else _local(argument)
    matches = [FILE.fullmatch(name) for name in files]
    prefixes = sorted({match["prefix"] for match in matches if match})
    if prefix not in (None, *prefixes) or not prefixes:
        found = f"; the prefixes are {', '.join(prefixes)}" if prefixes else ""
        name = f"{directory}/{prefix or 'PREFIX'}-rNN.tfrecords[.PPP]"
        how = (
            "Write tfrecord:DIR or tfrecord:DIR/PREFIX; python -m alae_tf.prepare writes such files"
        )
        raise DataError(f"no file {name}{found}. {how}.")
    train, test = (prefix or prefixes[0], None) if prefix or len(prefixes) == 1 else _pair(prefixes)
    if train is None:
        choices = " or ".join(f"--data=tfrecord:{directory / name}" for name in prefixes)
        raise DataError(f"holds several sets. Write {choices}")
    parts = _read_manifest(directory)
    source = TfrecordSource(uri, directory, files, train, parts.get(train))
    if test is not None:
        source.held_out = TfrecordSource(uri, directory, files, test, parts.get(test))
    return source


def _local(argument: str) -> tuple[Path, str | None, Files]:
    """The directory, the prefix and the TFRecords that an argument names on this machine."""
    path = local_path(argument)
    directory, prefix = (path, None) if path.is_dir() else (path.parent, path.name)
    try:
        entries = sorted(directory.iterdir()) if directory.is_dir() else []
        # A pipe would block.
        found = {e.name: e for e in entries if FILE.fullmatch(e.name) and e.is_file()}
    except OSError as error:
        raise DataError(f"{directory}: {error.strerror}.") from None
    return directory, prefix, found


def _pair(prefixes: list[str]) -> tuple[str | None, str | None]:
    """The training set and the held-out set, if these are the only two."""
    for train, test in (prefixes, prefixes[::-1]) if len(prefixes) == 2 else ():
        if test in (f"{train}-test", re.sub(r"(^|-)train$", r"\1test", train)):
            return train, test
    return None, None


def _read_manifest(directory: Path) -> dict[str, dict]:
    """The parts in dataset.json by prefix; empty for files of other tools."""
    path, same = directory / MANIFEST, "Run the same python -m alae_tf.prepare again"
    if not path.exists():
        if (directory / WORK).exists():
            raise DataError(f"its preparation is not finished. {same} to continue it.")
        return {}
    try:
        return schema.load(path, {"parts": {str: PART}})["parts"]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}). {same}, which keeps intact files.") from None
