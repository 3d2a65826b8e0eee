"""Random access to TFRecord files."""

import bisect
import os
import struct
from collections.abc import Sequence

import numpy as np

from alae_tf.data.source import DataError

HEADER, FOOTER = 12, 4  # uint64 length and uint32 CRC of it; then the data; then uint32 CRC of it


class RecordFiles:
    """The records of uncompressed TFRecord files, in the order of the files, by index.

    Opening walks over the length headers once (about a million records in two seconds). A read
    opens its file, so that hundreds of shards hold no descriptors and threads share no position.
    The checksums are not verified.

    Args:
        paths: the files; at least one record in all.

    Raises:
        DataError: a file is missing or torn, or there is no record.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]):
        self.paths = [os.fspath(path) for path in paths]
        spans = [_spans(path) for path in self.paths]
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


def count_records(path: str | os.PathLike) -> int:
    """How many records a file has, without a walk if its size is a multiple of the first one's.

    Raises:
        DataError: the file is missing or torn.
    """
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


def _spans(path: str) -> np.ndarray:
    """int64 [records, 2]: where the data of each record begins, and its length."""
    try:
        file = open(path, "rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. It should be a TFRecord file.") from None
    spans, position = [], 0
    with file:
        size = os.fstat(file.fileno()).st_size
        while position < size:
            header = os.pread(file.fileno(), HEADER, position)
            # A torn header promises at least itself.
            length = struct.unpack_from("<Q", header)[0] if len(header) == HEADER else 0
            end = position + HEADER + length + FOOTER
            if end > size:
                raise _torn(path, len(spans), position, end, size)
            spans.append((position + HEADER, length))
            position = end
    return np.array(spans, np.int64).reshape(-1, 2)


def _torn(path: str, record: int, start: int, end: int, size: int) -> DataError:
    return DataError(
        f"{path}: record {record:,} starts at byte {start:,} and would end at {end:,}, but the "
        f"file ends at {size:,}: it is cut short or no TFRecord file. Copy or prepare it again."
    )
