"""TFRecord files with the images at several resolutions: ours, StyleGAN's and the authors'."""

import functools
import json
import re
import threading
from pathlib import Path

import numpy as np

from alae_tf.data import tfrecord_format as format_
from alae_tf.data.prepared import FILE, MANIFEST, WORK
from alae_tf.data.records import RecordFiles, count_records
from alae_tf.data.source import DataError, Source, local_path
from alae_tf.images.fit import fit
from alae_tf.system.errors import report
from alae_tf.system.files import member

MOST_CLASSES = 2**20
AGAIN = "Copy the files again, or prepare them again (python -m alae_tf.prepare)."


class TfrecordSource(Source):
    """The files PREFIX-rNN.tfrecords[.PPP] of one directory, at all their resolutions.

    An image is read from the files of the requested resolution. Without such files it is fitted
    from the next higher resolution, or else from the highest. The files of a resolution are indexed
    at first use.

    Args:
        uri: as given to --data.
        directory: where the files are.
        prefix: PREFIX.
        manifest: the entry of dataset.json for these files, or None. Counts and sizes are checked
            against it at opening; the checksums are not.

    Attributes:
        resolutions: pixels, ascending.
        labels: from the manifest's file, or from StyleGAN's PREFIX-rxx.labels, or from the records'
            feature `label` (the first use then reads all records of the lowest resolution). None
            if there are no labels.

    Raises:
        DataError: files are missing, cut short or not as in the manifest; the resolutions hold
            different numbers of images; the first record is not an image.
    """

    def __init__(self, uri: str, directory: Path, prefix: str, manifest: dict | None = None):
        self.uri = uri
        self._directory, self._prefix, self._manifest = directory, prefix, manifest
        self._paths = self._find(prefix)
        self.resolutions = sorted(self._paths)
        self._opened: dict[int, RecordFiles] = {}
        self._lock = threading.Lock()
        self._size = self._count()
        self.channels = self._stored(0, self.resolutions[0], None).shape[2]

    def __len__(self) -> int:
        return self._size

    def image(self, index: int) -> np.ndarray:
        return self._stored(index, self.resolutions[-1], self.channels)

    def warn_about_sizes(self, resolution: int) -> None:
        if resolution > self.resolutions[-1]:
            report(
                self.uri, f"images of {self.resolutions[-1]} px will be enlarged to {resolution}"
            )

    def pyramid(self, index: int, resolutions) -> list[np.ndarray]:
        return [self._at(index, resolution) for resolution in resolutions]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        if self._manifest is not None:
            return self._read_labels(self._manifest["labels"])
        beside = self._directory / f"{self._prefix}-rxx.labels"
        if beside.is_file():
            return self._read_stylegan_labels(beside)
        records = self._records(self.resolutions[0])
        if format_.label(records[0]) is None:
            return None
        labels = [format_.label(record) for record in records]
        return None if None in labels else np.array(labels, np.int64)

    def _find(self, prefix: str) -> dict[int, list[Path]]:
        """The files by resolution, in the order of their parts."""
        parts: dict[int, list[tuple[int, Path]]] = {}
        for path in sorted(self._directory.iterdir()):
            match = FILE.fullmatch(path.name)
            if match and match["prefix"] == prefix and path.is_file():  # a pipe would block
                found = parts.setdefault(2 ** int(match["log2"]), [])
                found.append((int(match["part"] or -1), path))  # -1: one file without parts
        for resolution, found in parts.items():
            found.sort()
            if [part for part, _ in found] not in ([-1], list(range(len(found)))):
                names = ", ".join(path.name for _, path in found)
                raise self._error(
                    f"parts are missing or belong to two sets at {resolution} px: {names}. They "
                    "should be numbered from .000 without a gap."
                )
        return {r: [path for _, path in found] for r, found in parts.items()}

    def _count(self) -> int:
        if self._manifest is not None:
            self._check_files(self._manifest["files"])
            return self._manifest["images"]
        try:
            counts = {r: sum(map(count_records, paths)) for r, paths in self._paths.items()}
            if len(set(counts.values())) > 1:  # perhaps because their records differ in length
                counts = {r: len(RecordFiles(paths)) for r, paths in self._paths.items()}
        except DataError as error:
            raise self._error(error) from None
        if len(set(counts.values())) > 1:
            held = ", ".join(f"{counts[r]:,} at {r} px" for r in self.resolutions)
            raise self._error(f"the resolutions hold different numbers of images: {held}. {AGAIN}")
        if not counts[self.resolutions[0]]:
            raise self._error(f"{self._paths[self.resolutions[0]][0]}: no record. {AGAIN}")
        return counts[self.resolutions[0]]

    def _check_files(self, files: dict[str, dict]) -> None:
        found = {path.name: path for paths in self._paths.values() for path in paths}
        for name in files.keys() | found.keys():
            if name not in found:
                raise self._error(f"{name} is in {MANIFEST} but does not exist. {AGAIN}")
            if name not in files:
                raise self._error(f"{name} is not in {MANIFEST}. Move it elsewhere.")
            size = found[name].stat().st_size
            if size != files[name]["bytes"]:
                raise self._error(
                    f"{name} has {size:,} bytes instead of the {files[name]['bytes']:,} in "
                    f"{MANIFEST}. {AGAIN}"
                )

    def _read_labels(self, entry: dict | None) -> np.ndarray | None:
        if entry is None:
            return None
        try:
            path = member(self._directory, entry["file"], follow=False)
        except ValueError as error:
            raise self._error(f"{entry['file']}: {error}. {AGAIN}") from None
        labels = self._load(path)
        if labels.shape != (len(self),) or labels.dtype.kind not in "iu":
            raise self._error(
                f"{entry['file']} holds {labels.dtype} {list(labels.shape)} instead of integers "
                f"[{len(self)}]. {AGAIN}"
            )
        return labels.astype(np.int64)

    def _read_stylegan_labels(self, path: Path) -> np.ndarray | None:
        """The labels in a file of one-hot rows, as StyleGAN's tool writes it, or of class numbers.

        None, with a warning, if it does not give each image exactly one class.
        """
        labels = self._load(path)
        if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2) or len(labels) != len(self):
            raise self._error(
                f"{path.name} holds {labels.dtype} {list(labels.shape)} instead of numbers "
                f"[{len(self)}] or [{len(self)}, classes]. {AGAIN}"
            )
        if labels.ndim == 2:
            valid = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
            labels = labels.argmax(axis=1) if valid else labels
        else:
            valid = np.isin(labels, np.arange(MOST_CLASSES)).all()
        if not valid:
            report(self.uri, f"{path.name} does not give each image one class; it is ignored")
            return None
        return labels.astype(np.int64)

    def _load(self, path: Path) -> np.ndarray:
        try:
            return np.load(path, allow_pickle=False)
        except Exception as error:  # NumPy raises many types for a damaged header
            why = getattr(error, "strerror", None) or "it is damaged"
            raise self._error(f"{path.name} cannot be read: {why}. {AGAIN}") from None

    def _at(self, index: int, resolution: int) -> np.ndarray:
        larger = [stored for stored in self.resolutions if stored >= resolution]
        stored = larger[0] if larger else self.resolutions[-1]
        image = self._stored(index, stored, self.channels)
        return image if stored == resolution else fit(image, resolution)

    def _stored(self, index: int, resolution: int, channels: int | None) -> np.ndarray:
        """Image `index` in the files of a resolution: uint8 [resolution, resolution, C].

        Args:
            channels: the expected number, or None to accept any.
        """
        records = self._records(resolution)
        try:
            image = format_.from_record(records[index])
        except DataError as error:
            raise self._error(error) from None
        except ValueError as error:
            raise self._error(f"{records.place(index)} {error}. {AGAIN}") from None
        wanted = (resolution, resolution, channels or image.shape[2])
        if image.shape != wanted:
            raise self._error(
                f"{records.place(index)} holds an image of height, width and channels "
                f"{list(image.shape)} instead of {list(wanted)}. {AGAIN}"
            )
        return image

    def _records(self, resolution: int) -> RecordFiles:
        with self._lock:
            if resolution not in self._opened:
                try:
                    records = RecordFiles(self._paths[resolution])
                except DataError as error:
                    raise self._error(error) from None
                if len(records) != self._size:
                    raise self._error(
                        f"{len(records):,} images at {resolution} px instead of "
                        f"{self._size:,}. {AGAIN}"
                    )
                self._opened[resolution] = records
            return self._opened[resolution]

    def _error(self, what: object) -> DataError:
        return DataError(f"--data={self.uri}: {what}")


def open_tfrecord(uri: str, argument: str) -> TfrecordSource:
    """`tfrecord:DIR`, or `tfrecord:DIR/PREFIX` if DIR holds several sets.

    If DIR holds exactly the sets `train` and `test`, `test` is held out; likewise `celeba-test`
    beside `celeba` or `celeba-train`.

    Raises:
        DataError: DIR holds no such files, or several sets, or an unfinished preparation; see also
            `TfrecordSource`.
    """
    path = local_path(uri, argument)
    directory, prefix = (path, None) if path.is_dir() else (path.parent, path.name)
    try:
        entries = sorted(directory.iterdir()) if directory.is_dir() else []
        names = [entry.name for entry in entries if entry.is_file()]
    except OSError as error:
        raise DataError(f"--data={uri}: {directory}: {error.strerror}.") from None
    matches = [FILE.fullmatch(name) for name in names]
    prefixes = sorted({match["prefix"] for match in matches if match})
    if prefix not in (None, *prefixes) or not prefixes:
        found = f"; the prefixes are {', '.join(prefixes)}" if prefixes else ""
        raise DataError(
            f"--data={uri}: no file {directory}/{prefix or 'PREFIX'}-rNN.tfrecords[.PPP]{found}. "
            "Write tfrecord:DIR or tfrecord:DIR/PREFIX, or make the files with "
            "python -m alae_tf.prepare."
        )
    parts = _read_manifest(uri, directory)
    if prefix is None and (pair := _pair(prefixes)):
        train, test = pair
        source = TfrecordSource(uri, directory, train, parts.get(train))
        source.held_out = TfrecordSource(uri, directory, test, parts.get(test))
        return source
    if prefix is None and len(prefixes) > 1:
        choices = " or ".join(f"--data=tfrecord:{directory / name}" for name in prefixes)
        raise DataError(f"--data={uri}: holds several sets. Write {choices}")
    prefix = prefix or prefixes[0]
    return TfrecordSource(uri, directory, prefix, parts.get(prefix))


def _pair(prefixes: list[str]) -> tuple[str, str] | None:
    """The training set and the held-out set, if these are the only two."""
    for train, test in (prefixes, prefixes[::-1]) if len(prefixes) == 2 else ():
        if test in (f"{train}-test", re.sub(r"(^|-)train$", r"\1test", train)):
            return train, test
    return None


def _read_manifest(uri: str, directory: Path) -> dict[str, dict]:
    """The parts in dataset.json by prefix; empty for files of other tools."""
    path = directory / MANIFEST
    if not path.exists():
        if (directory / WORK).exists():
            raise DataError(
                f"--data={uri}: its preparation is not finished. Run the same "
                "python -m alae_tf.prepare again to continue it."
            )
        return {}
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
        for part in parts.values():
            entries = [*part["files"].values(), *([part["labels"]] if part["labels"] else [])]
            if not all(isinstance(entry["bytes"], int) for entry in entries) or not part["images"]:
                raise ValueError
        return parts
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise DataError(
            f"--data={uri}: {path} is damaged. Run the same python -m alae_tf.prepare again, which "
            "keeps intact files."
        ) from None
