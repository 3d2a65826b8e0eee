"""TFRecord files with one set of images per resolution: our own, StyleGAN's, the authors'."""

import functools
import json
import re
import threading
from pathlib import Path

import numpy as np

from alae_tf.data import tfrecord_format as format_
from alae_tf.data.prepared import FILE, MANIFEST, WORK
from alae_tf.data.records import RecordFiles, count_records
from alae_tf.data.source import DataError, Source, local_path, report
from alae_tf.images.fit import fit
from alae_tf.system.files import member

MOST_CLASSES = 2**20
AGAIN = "Copy the files again, or prepare them again (python -m alae_tf.prepare)."


class TfrecordSource(Source):
    """The files PREFIX-rNN.tfrecords[.PPP] of one directory, at all their resolutions.

    An image is read from the files of the resolution asked for; if there are none, it is fitted
    from those of the next higher resolution, or of the highest. The files of a resolution are
    indexed when it is first used.

    Args:
        uri: as typed.
        directory: where the files are.
        prefix: PREFIX.
        manifest: what dataset.json says of them, or None. Counts and sizes are checked against it
            at opening; the checksums are not.

    Attributes:
        resolutions: pixels, ascending.
        labels: from the manifest's file, else from StyleGAN's PREFIX-rxx.labels, else of the
            records' feature `label`, if they have it (the first use then reads all records of the
            lowest resolution); else None.

    Raises:
        DataError: files missing, torn or not as in the manifest; counts that differ between
            resolutions; a first record that is no image.
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

    def tell_sizes(self, resolution: int) -> None:
        if resolution > self.resolutions[-1]:
            report(
                f"{self.uri}: it holds images up to {self.resolutions[-1]} px, which will be "
                f"enlarged to {resolution}"
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
            if match and match["prefix"] == prefix and path.is_file():  # no pipe: it would hang
                found = parts.setdefault(2 ** int(match["log2"]), [])
                # -1: a file that is no part but the whole
                found.append((int(match["part"] or -1), path))
        for resolution, found in parts.items():
            found.sort()
            if [part for part, _ in found] not in ([-1], list(range(len(found)))):
                names = ", ".join(path.name for _, path in found)
                raise self._error(
                    f"parts are missing or of two sets at {resolution} px, there is {names}. They "
                    "should be numbered from .000 on without a gap."
                )
        return {r: [path for _, path in found] for r, found in parts.items()}

    def _count(self) -> int:
        if self._manifest is not None:
            self._check_files(self._manifest["files"])
            return self._manifest["images"]
        try:
            counts = {r: sum(map(count_records, paths)) for r, paths in self._paths.items()}
            if len(set(counts.values())) > 1:  # or their records differ in length
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
                raise self._error(f"{name} is in {MANIFEST} and not there. {AGAIN}")
            if name not in files:
                raise self._error(f"{name} is not in {MANIFEST}. Move it away.")
            size = found[name].stat().st_size
            if size != files[name]["bytes"]:
                raise self._error(
                    f"{name} has {size:,} bytes, and {files[name]['bytes']:,} in "
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
        """StyleGAN's tool writes a row for each image, in which the entry of its class is 1; a
        number for each image is read as well. None if the rows name no class, or several."""
        labels = self._load(path)
        if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2) or len(labels) != len(self):
            raise self._error(
                f"{path.name} holds {labels.dtype} {list(labels.shape)} instead of numbers "
                f"[{len(self)}] or [{len(self)}, classes]. {AGAIN}"
            )
        if labels.ndim == 2:
            ones = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()
            whole, labels = ones and labels.shape[1] > 0, labels.argmax(axis=1) if ones else labels
        else:
            whole = np.isin(labels, np.arange(MOST_CLASSES)).all()
        if not whole:
            report(f"{self.uri}: {path.name} names no single class for each image; it is ignored")
            return None
        return labels.astype(np.int64)

    def _load(self, path: Path) -> np.ndarray:
        try:
            return np.load(path, allow_pickle=False)
        except Exception as error:  # a damaged header makes NumPy raise nearly anything
            why = getattr(error, "strerror", None) or "it is damaged"
            raise self._error(f"{path.name} cannot be read: {why}. {AGAIN}") from None

    def _at(self, index: int, resolution: int) -> np.ndarray:
        larger = [stored for stored in self.resolutions if stored >= resolution]
        stored = larger[0] if larger else self.resolutions[-1]
        image = self._stored(index, stored, self.channels)
        return image if stored == resolution else fit(image, resolution)

    def _stored(self, index: int, resolution: int, channels: int | None) -> np.ndarray:
        """uint8 [resolution, resolution, C] of the files of this resolution."""
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
        records = self._opened.get(resolution)
        if records is not None:
            return records
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

    Of a directory that holds the sets `train` and `test`, `test` is held out; likewise
    `celeba-test` beside `celeba` or `celeba-train`.

    Raises:
        DataError: no such files, several sets of them, or an unfinished preparation; see also
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
        there = f" (there is {', '.join(prefixes)})" if prefixes else ""
        raise DataError(
            f"--data={uri}: no file {directory}/{prefix or 'PREFIX'}-rNN.tfrecords[.PPP]{there}. "
            "Write tfrecord:DIR or tfrecord:DIR/PREFIX; python -m alae_tf.prepare makes such files."
        )
    parts = _read_manifest(uri, directory)
    if prefix is None and (pair := _pair(prefixes)):
        train, test = pair
        source = TfrecordSource(uri, directory, train, parts.get(train))
        source.held_out = TfrecordSource(uri, directory, test, parts.get(test))
        return source
    if prefix is None and len(prefixes) > 1:
        choices = " or ".join(f"--data=tfrecord:{directory / name}" for name in prefixes)
        raise DataError(f"--data={uri}: there are several sets in it. Write {choices}")
    prefix = prefix or prefixes[0]
    return TfrecordSource(uri, directory, prefix, parts.get(prefix))


def _pair(prefixes: list[str]) -> tuple[str, str] | None:
    """The set to train on and the one that is held out, if there are just these two."""
    for train, test in (prefixes, prefixes[::-1]) if len(prefixes) == 2 else ():
        if test in (f"{train}-test", re.sub(r"(^|-)train$", r"\1test", train)):
            return train, test
    return None


def _read_manifest(uri: str, directory: Path) -> dict[str, dict]:
    """What dataset.json says of each part; empty for files from elsewhere."""
    path = directory / MANIFEST
    if not path.exists():
        if (directory / WORK).exists():
            raise DataError(
                f"--data={uri}: its preparation is not finished. Run the same "
                "python -m alae_tf.prepare again; it goes on where it stopped."
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
            "keeps what is whole."
        ) from None
