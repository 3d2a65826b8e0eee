"""Random access to TFRecord files."""

import bisect
import gzip
import io
import os
import shutil
import tempfile
import typing
import weakref
import zlib
from collections.abc import Sequence
from typing import IO

import numpy as np

from alae_tf.cloud.ranges import RemoteFile
from alae_tf.data.source import DataError

File = str | os.PathLike | RemoteFile
HEADER, FOOTER = 12, 4  # bytes before the data (uint64 length, its uint32 CRC) and after (its CRC)
GZIP = b"\x1f\x8b\x08"
LARGEST = 2**42  # bytes of a file; file systems refuse to seek much further


class RecordFiles:
    """The records of TFRecord files by index, in the order of the files.

    Opening reads the length headers (about a million records in a few seconds). Each access opens
    its file: hundreds of files need no descriptors, and threads share no position. The checksums
    are not verified. GZIP files, which have no random access, are unpacked at opening into one
    temporary file (in TMPDIR), which is removed when the process ends. In storage, a file whose
    first and last record have the same length is taken to hold records of that length; each access
    checks the length.

    Args:
        paths: the files, of this machine or in storage; at least one record in all.

    Raises:
        DataError: a file is missing or cut short, there is no record, or no space to unpack.
    """

    def __init__(self, paths: Sequence[File]):
        self.paths = [p if isinstance(p, RemoteFile) else os.fspath(p) for p in paths]
        self._packed = {path for path in self.paths if _is_gzip(path)}
        # A machine may have no place for temporary files.
        self._unpacked: IO[bytes] = tempfile.TemporaryFile() if self._packed else io.BytesIO()
        weakref.finalize(self, self._unpacked.close)
        spans = [self._index(path) for path in self.paths]
        self._spans = np.concatenate([np.zeros([0, 2], np.int64), *spans])  # offset, length
        self._file_starts = np.cumsum([0] + [len(span) for span in spans])[:-1].tolist()
        if not len(self._spans):
            raise DataError(
                f"{', '.join(map(str, self.paths))}: no record. At least one is needed."
            )

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> bytes:
        """The bytes of one record; IndexError outside 0 to len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self.paths[self._file_of(index)]
        offset, length = self._spans[index].tolist()
        if path in self._packed:
            return os.pread(self._unpacked.fileno(), length, offset)
        with _open(path) as file:
            file.seek(offset - HEADER)
            data = file.read(HEADER + length)
        if len(data) < HEADER + length or int.from_bytes(data[:8], "little") != length:
            raise _torn(self.place(index))
        return data[HEADER:]

    def place(self, index: int) -> str:
        """The file of a record and its number in that file, for messages."""
        number = self._file_of(index)
        return f"{self.paths[number]}: record {index - self._file_starts[number]:,}"

    def _file_of(self, index: int) -> int:
        return bisect.bisect_right(self._file_starts, index) - 1

    def _index(self, path: File) -> np.ndarray:
        """`_spans` of a file, after unpacking it if it is compressed."""
        if path not in self._packed:
            with _open(path) as file:
                spans = _equal_spans(file) if isinstance(path, RemoteFile) else None
                return _spans(path, file) if spans is None else spans
        start = self._unpacked.seek(0, os.SEEK_END)
        try:
            with _open(path) as packed, gzip.open(packed) as file:
                shutil.copyfileobj(file, self._unpacked, 2**20)
        except (OSError, EOFError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno:
                where = f"cannot be unpacked into {tempfile.gettempdir()}: {error.strerror}"
                raise DataError(f"{path}: {where}. Set TMPDIR to a larger disk.") from None
            raise _damaged(path, error) from None
        return _spans(path, self._unpacked, start)


def count_records(path: File) -> int:
    """The number of records in a file; records of equal size are counted by the file's size. A GZIP
    file is decompressed, but not stored. Raises DataError if it is missing, cut short or
    damaged."""
    if _is_gzip(path):
        try:
            with _open(path) as packed, gzip.open(packed) as file:
                return len(_spans(path, file))
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, error) from None
    with _open(path) as file:
        first = HEADER + int.from_bytes(file.read(HEADER)[:8], "little") + FOOTER
        size = file.seek(0, os.SEEK_END)
        return size // first if size % first == 0 else len(_spans(path, file))


def _open(path: File) -> IO[bytes]:
    if isinstance(path, RemoteFile):
        return typing.cast(IO[bytes], path.open())
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. It should be a TFRecord file.") from None


def _is_gzip(path: File) -> bool:
    """Whether a file is compressed. The length of a first record can equal GZIP's magic bytes, but
    then its checksum is correct."""
    with _open(path) as file:
        header = file.read(HEADER)
    return header.startswith(GZIP) and _checksum(header[:8]) != int.from_bytes(header[8:], "little")


def _checksum(data: bytes) -> int:
    """CRC-32C, masked as in TFRecord files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _spans(path: File, file: IO[bytes] | gzip.GzipFile, start: int = 0) -> np.ndarray:
    """The offset and length of each record's data, int64 [records, 2], in a file whose uncompressed
    contents begin at `start`."""
    spans: list[tuple[int, int]] = []
    file.seek(start)
    header = file.read(HEADER)
    while header:
        data, length = start + HEADER, int.from_bytes(header[:8], "little")
        file.seek(min(data + length, LARGEST))
        rest = file.read(FOOTER + HEADER)
        if len(header) < HEADER or len(rest) < FOOTER:
            raise _torn(f"{path}: record {len(spans):,}")
        spans.append((data, length))
        start, header = data + length + FOOTER, rest[FOOTER:]
    return np.array(spans, np.int64).reshape(-1, 2)


def _equal_spans(file: IO[bytes]) -> np.ndarray | None:
    """`_spans` of a file whose first and last record have the same length, else None."""
    header, size = file.read(HEADER), file.seek(0, os.SEEK_END)
    whole = HEADER + int.from_bytes(header[:8], "little") + FOOTER
    if size % whole:
        return None
    file.seek(size - whole)
    if file.read(HEADER) != header:
        return None
    starts = np.arange(size // whole, dtype=np.int64) * whole + HEADER
    return np.stack([starts, np.full_like(starts, whole - HEADER - FOOTER)], axis=1)


def _damaged(path: File, error: Exception) -> DataError:
    return DataError(f"{path}: its GZIP data is damaged ({error}). Copy or prepare it again.")


def _torn(place: str) -> DataError:
    why = "the file was cut short or is not a TFRecord file. Copy or prepare it again."
    return DataError(f"{place} is incomplete: {why}")
