"""Random access to TFRecord files."""

import bisect
import gzip
import os
import shutil
import struct
import tempfile
import weakref
import zlib
from collections.abc import Sequence

import numpy as np

from alae_tf.data.source import DataError

HEADER, FOOTER = 12, 4  # uint64 length and uint32 CRC of it; then the data; then uint32 CRC of it
GZIP = b"\x1f\x8b\x08"


class RecordFiles:
    """The records of TFRecord files, in the order of the files, by index.

    Opening walks over the length headers once (about a million records in two seconds). A read
    opens its file, so that hundreds of shards hold no descriptors and threads share no position.
    The checksums are not verified. GZIP files, which have no random access, are unpacked at opening
    into one temporary file (in TMPDIR), which the system removes with the process.

    Args:
        paths: the files; at least one record in all.

    Raises:
        DataError: a file is missing or torn, there is no record, or no room to unpack.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]):
        self.paths = [os.fspath(path) for path in paths]
        self._packed = {path for path in self.paths if _is_gzip(path)}
        self._unpacked = tempfile.TemporaryFile() if self._packed else None
        if self._unpacked:
            weakref.finalize(self, self._unpacked.close)
        spans = [self._index(path) for path in self.paths]
        self._spans = np.concatenate([np.zeros([0, 2], np.int64), *spans])  # offset, length
        self._file_starts = np.cumsum([0] + [len(span) for span in spans])[:-1].tolist()
        if not len(self._spans):
            names = ", ".join(self.paths) or "no file"
            raise DataError(f"{names}: no record. At least one TFRecord is needed.")

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> bytes:
        """The bytes of one record; IndexError outside 0 to len - 1."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self.paths[self._file_of(index)]
        offset, length = self._spans[index].tolist()
        if self._unpacked and path in self._packed:
            return os.pread(self._unpacked.fileno(), length, offset)
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                data = os.pread(descriptor, length, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}. It was there at opening.") from None
        if len(data) < length:
            raise _torn(path, index, offset, offset + length, offset + len(data))
        return data

    def place(self, index: int) -> str:
        """Where record `index` is, for messages: the file, and its number there."""
        number = self._file_of(index)
        return f"{self.paths[number]}: record {index - self._file_starts[number]:,}"

    def _file_of(self, index: int) -> int:
        return bisect.bisect_right(self._file_starts, index) - 1

    def _index(self, path: str) -> np.ndarray:
        """`_spans` of a file, after unpacking it if it is compressed."""
        if not self._unpacked or path not in self._packed:
            return _spans(path)
        start = self._unpacked.seek(0, os.SEEK_END)
        try:
            with gzip.open(path) as file:
                shutil.copyfileobj(file, self._unpacked, 2**20)
            self._unpacked.flush()
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise _damaged(path, error) from None
        except OSError as error:
            raise DataError(
                f"{path}: cannot be unpacked into {tempfile.gettempdir()}: {error.strerror}. "
                "Set TMPDIR to a directory with more room, or unpack the files (gunzip)."
            ) from None
        return _spans(path, self._unpacked.fileno(), start)


def count_records(path: str | os.PathLike) -> int:
    """How many records a file has, without a walk if its size is a multiple of the first one's.

    A GZIP file is decompressed for it, without being stored.

    Raises:
        DataError: the file is missing or torn.
    """
    if _is_gzip(path):
        return _count_compressed(path)
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. It should be a TFRecord file.") from None
    if len(header) == HEADER:
        first = HEADER + struct.unpack_from("<Q", header)[0] + FOOTER
        if size % first == 0:
            return size // first
    return len(_spans(os.fspath(path)))


def _is_gzip(path: str | os.PathLike) -> bool:
    """Whether a file is compressed. The length of a first record can have gzip's magic bytes too,
    but then its checksum is right."""
    try:
        with open(path, "rb", buffering=0) as file:
            header = file.read(HEADER)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. It should be a TFRecord file.") from None
    return header.startswith(GZIP) and header[8:] != struct.pack("<I", _checksum(header[:8]))


def _checksum(data: bytes) -> int:
    """CRC-32C, masked as TFRecord files have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _count_compressed(path: str | os.PathLike) -> int:
    records = 0
    try:
        with gzip.open(path) as file:
            while header := file.read(HEADER):
                if len(header) < HEADER:
                    raise EOFError("it ends within a record")
                file.seek(struct.unpack_from("<Q", header)[0], os.SEEK_CUR)
                if len(file.read(FOOTER)) < FOOTER:
                    raise EOFError("it ends within a record")
                records += 1
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise _damaged(path, error) from None
    return records


def _spans(path: str, descriptor: int | None = None, position: int = 0) -> np.ndarray:
    """int64 [records, 2]: where the data of each record begins, and its length.

    Args:
        path: the file.
        descriptor: of a file that holds its contents from `position` on; default: of `path`.
    """
    if descriptor is None:
        try:
            with open(path, "rb", buffering=0) as file:
                return _spans(path, file.fileno())
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}. It should be a TFRecord file.") from None
    spans, size = [], os.fstat(descriptor).st_size
    while position < size:
        header = os.pread(descriptor, HEADER, position)
        # A torn header promises at least itself.
        length = struct.unpack_from("<Q", header)[0] if len(header) == HEADER else 0
        end = position + HEADER + length + FOOTER
        if end > size:
            raise _torn(path, len(spans), position, end, size)
        spans.append((position + HEADER, length))
        position = end
    return np.array(spans, np.int64).reshape(-1, 2)


def _damaged(path: str | os.PathLike, error: Exception) -> DataError:
    return DataError(f"{path}: its GZIP data is damaged ({error}). Copy or prepare it again.")


def _torn(path: str, record: int, start: int, end: int, size: int) -> DataError:
    return DataError(
        f"{path}: record {record:,} starts at byte {start:,} and would end at {end:,}, but the "
        f"file ends at {size:,}: it is cut short or no TFRecord file. Copy or prepare it again."
    )
